"""The output layer of a language model: affine, softmax and loss in one, in chunks of rows.

    s = x·W + b        loss = -ln softmax(s)[target]        ds = softmax(s) - one-hot(target)
    dW = xᵀ·ds         db = Σ ds                            dx = ds·Wᵀ

With V = 10,000 words the scores of a block are by far its largest array, and a softmax over them is limited by memory
bandwidth. Here the scores exist for one chunk of rows at a time: they are computed, turned into probabilities and the
loss, and, while they are still in the cache, into their gradients. If several threads may work at once, each has its
own part of the vocabulary. Once a chunk the parts are joined, to get the sum that turns their exponentials into
probabilities.
"""

from collections.abc import Callable, Sequence
from functools import partial

from elman.arrays import (
    Array,
    Buffers,
    as_ids,
    as_number,
    as_rows,
    asarray,
    batch_major,
    empty,
    is_torch,
    namespace,
    time_major,
    zeros,
)
from elman.errors import ShapeError
from elman.layers.base import check_sequence, check_weights
from elman.layers.bfloat16_matrix import FEW_ROWS
from elman.layers.kernels import kernels_for
from elman.layers.reduced import ReducedMatrix
from elman.layers.softmax import IGNORE_LABEL, check_targets, log_softmax_rows
from elman.one_line import layer_line
from elman.workers import Task, run_tasks, split_evenly, worker_count


class VocabularyPart:
    """One thread's part of the vocabulary, W[:, words], for a block of ``rows`` rows in chunks of at most ``step``.

    After `score`, ``maxima`` and ``sums`` (K,) are those of the chunk's rows over these words, and ``chosen`` (K,) are
    the scores of the targets among these words, 0 for other targets. ``drows`` (rows, H) collects the part of the
    gradient of the hidden rows that comes through these words.
    """

    def __init__(self, W: Array, b: Array, dW: Array, db: Array, words: slice, rows: int, step: int) -> None:
        self.words = words
        # of all words, because deepcopy would turn a view into an array of its own
        self._weights, self._grads = (W, b), (dW, db)
        self._all = words == slice(0, W.shape[1])
        self._buffers = Buffers()
        H, V = W.shape[0], words.stop - words.start
        self.drows = empty((rows, H), W)
        self._probs = empty((step, V), W)
        self._more = empty((H, V) if step < rows else (0, 0), W)  # dW of the chunks after the first

    def score(self, rows: Array, targets: Array) -> None:
        """Write exp(score - maximum) for rows (K, H) and these words; set ``chosen``, ``maxima`` and ``sums``."""
        W, b = self._own(self._weights)
        scores = self._probs[: len(rows)]  # (K, V)
        self._operand_W = self._buffers.operand("W", W)
        namespace(W).matmul(rows, self._operand_W, out=scores)
        self.targets = targets - self.words.start
        self.chosen, self.maxima, self.sums = kernels_for(scores).score_rows(scores, b, self.targets)

    def differentiate(self, chunk: slice, rows: Array, top: Array, sums: Array, weights: Array) -> None:
        """Write drows of the chunk, and add to dW and db. top and sums are the maxima and sums over all words."""
        dscores = self._probs[: len(rows)]  # (K, V), to become (softmax - one-hot)·weight
        xp, (dW, db) = namespace(dscores), self._own(self._grads)
        factors = weights / sums if self._all else weights * xp.exp(self.maxima - top) / sums
        if chunk.start == 0:
            db[...] = 0
        kernels_for(dscores).differentiate_rows(dscores, factors, self.targets, weights, db)
        operand = self._buffers.operand(f"dscores {len(rows)}", dscores)
        xp.matmul(operand, self._operand_W.T, out=self.drows[chunk])
        if chunk.start == 0:
            xp.matmul(rows.T, operand, out=dW)
        else:
            xp.matmul(rows.T, operand, out=self._more)
            dW += self._more

    def _own(self, arrays: tuple[Array, Array]) -> tuple[Array, Array]:
        """Return these words' columns of a matrix and entries of a vector."""
        matrix, vector = arrays
        return matrix[:, self.words], vector[self.words]


def joined(parts: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Return the maxima (K,) of rows over all words, and the sums (K,) of exponentials relative to them.

    ``parts`` are the maxima and the sums over parts of the words.
    """
    (top, sums), *others = parts
    xp = namespace(top)
    for maxima, more in others:
        higher = xp.maximum(top, maxima)
        sums = sums * xp.exp(top - higher) + more * xp.exp(maxima - higher)
        top = higher
    return top, sums


WORDS_AT_ONCE = 1 << 12  # of a larger vocabulary than `LARGE`, when only scores are needed
LARGE = 1 << 14  # words, from which a chunk of all of them has too few rows for fast products
CHUNK_SCORES = 1 << 22  # scores kept at once: 16 MB in float32, with enough rows for fast products
LEAST_ROWS = 64
LEAST_WORDS = 16  # in a thread's part of the vocabulary


def rows_per_chunk(rows: int, vocab_size: int, hidden_size: int = 1) -> int:
    """Return how many rows of V scores make a chunk, so that all chunks have about the same size.

    In training every chunk goes over the whole gradient of W (H, V) once more. So a chunk has at least `LEAST_ROWS`
    rows, or H if that is less, however large V is: its scores are then not larger than W.
    """
    most = max(1, CHUNK_SCORES // vocab_size, min(LEAST_ROWS, hidden_size))
    chunks = max(1, -(-rows // most))
    return max(1, -(-rows // chunks))


def log_probs(rows: Array, W: Array, b: Array, reduced: ReducedMatrix | None = None) -> Array:
    """Return ln P over the vocabulary, (K, V), for hidden rows (K, H): a new array.

    ``reduced`` is the reduced form of W, if there is one.
    """
    scores = rows @ W if reduced is None else reduced.product(rows, W)
    return log_softmax_rows(scores + b)


def target_log_probs(
    rows: Array,
    targets: Array,
    W: Array,
    b: Array,
    buffers: Buffers | None = None,
    reduced: ReducedMatrix | None = None,
) -> Array:
    """Return ln P(target) (K,) for hidden rows (K, H), without ever keeping K·V numbers.

    With ``buffers`` the space for the scores is reused from call to call. ``reduced`` is as for `log_probs`.
    """
    xp, K, V = namespace(W), rows.shape[0], W.shape[1]
    if K == 1 or (reduced is not None and K <= FEW_ROWS):
        scores = rows @ W if reduced is None else reduced.product(rows, W)  # (K, V)
        found, maxima, sums = kernels_for(scores).score_rows(scores, b, targets)
        return found - maxima - xp.log(sums)
    buffers = Buffers() if buffers is None else buffers
    chosen = zeros((K,), rows)
    width = V if V <= LARGE or is_torch(W) else WORDS_AT_ONCE
    # equally many chunks for every worker
    step = rows_per_chunk(-(-K // worker_count()), width * worker_count())

    def score(number: int, k: int) -> None:
        span = slice(k, min(k + step, K))
        parts = []
        for first in range(0, V, width):
            words = slice(first, min(first + width, V))
            size = words.stop - first
            # (rows of the span, words)
            scores = buffers.get(f"scores-{number}-{size}", (step, size), W)[: span.stop - k]
            xp.matmul(rows[span], W[:, words], out=scores)
            found, *part = kernels_for(scores).score_rows(scores, b[words], targets[span] - first)
            chosen[span] += found  # 0 for a target among other words
            parts.append(part)
        top, sums = joined(parts)
        chosen[span] -= top
        chosen[span] -= xp.log(sums)

    tasks: list[Task] = []
    for number, k in enumerate(range(0, K, step)):  # a chunk overwrites the scores of an earlier one
        before = tasks[-worker_count()] if number >= worker_count() else None
        tasks.append(Task(partial(score, number % worker_count(), k), [before] if before else []))
    run_tasks(tasks)
    return chosen


class TimeAffineSoftmaxWithLoss:
    """(N, T, H) and targets (N, T) -> the mean loss in nats; W (H, V), b (V,).

    The same numbers as TimeAffine followed by TimeSoftmaxWithLoss. With ``train_flg``, `forward` computes the
    gradients too, and `backward`, called once after it, returns them; without it `forward` computes the loss only.
    ``dW`` may be a view of another layer's gradient, for tied weights. Instead of `forward`, a model may call `begin`,
    run the `tasks` and call `end`.
    """

    def __init__(self, W: Array, b: Array, dW: Array | None = None, ignore_label: int = IGNORE_LABEL) -> None:
        check_weights("TimeAffineSoftmaxWithLoss", b=(b, (W.shape[1],)))
        self.params = [W, b]
        self.grads = [zeros(tuple(W.shape), W) if dW is None else dW, zeros(tuple(b.shape), b)]
        self.ignore_label = ignore_label
        self.train_flg = True
        self._buffers = Buffers()
        self._parts_shape: tuple[int, ...] | None = None

    @property
    def nlls(self) -> Array:
        """-ln P(target) of every row of the last `forward`, in time-major order: (T·N,), valid until the next."""
        return self._nll

    def __repr__(self) -> str:
        return layer_line(self, *self.params[0].shape)

    def forward(self, xs: Array, ts: Array) -> float:
        """Return the mean of -ln P(target) over the counted positions.

        Raises:
            ShapeError: xs and ts do not go together, a target is out of range, or every position is ignored.
        """
        self.begin(xs, ts)
        run_tasks(self.tasks())
        return self.end()

    def begin(self, xs: Array, ts: Array) -> None:
        """Take xs (N, T, H), which may be filled later, and ts."""
        W, _ = self.params
        H, V = W.shape
        check_sequence("xs", xs, H)
        N, T, _ = xs.shape
        if tuple(ts.shape) != (N, T):
            raise ShapeError(f"ts must be ({N}, {T}), got {tuple(ts.shape)}")
        self._shape = T, N, H
        self._rows = as_rows(time_major(xs))  # (T·N, H)
        ids = time_major(as_ids(ts, W)).reshape(-1)  # (T·N,)
        self._targets, counted, count = check_targets(ids, self.ignore_label, V)
        self._weights = asarray(counted, like=W) / count  # (T·N,): what each position counts in the mean
        self._nll = self._buffers.get("nll", (T * N,), W)

    def tasks(self, after: Callable[[int], Sequence[Task]] = lambda row: ()) -> list[Task]:
        """Return the tasks of the block. ``after(row)`` returns the tasks that fill the rows before that row."""
        K, (H, V) = len(self._rows), self.params[0].shape
        if not self.train_flg:
            return [Task(self._score_targets, after(K))]
        step = rows_per_chunk(K, V, H)
        self._parts = self._parts_for(K, step)
        chunks = [slice(k, min(k + step, K)) for k in range(0, K, step)]
        tasks: list[Task] = []
        grads: list[Task] = []
        for chunk in chunks:
            # all parts read the sums of each part, which must not start the next chunk before that
            before = [*after(chunk.stop), *grads]
            scored = [Task(partial(self._score, part, chunk), before) for part in self._parts]
            grads = [Task(partial(self._differentiate, part, chunk), scored) for part in self._parts]
            tasks += scored + grads
        return tasks

    def _parts_for(self, rows: int, step: int) -> list[VocabularyPart]:
        """Return the parts of the vocabulary for chunks of ``step`` rows: those of the last block if they fit."""
        shape = (worker_count(), rows, step)
        if shape != self._parts_shape:
            (W, b), (dW, db) = self.params, self.grads
            self._parts = [
                VocabularyPart(W, b, dW, db, words, rows, step) for words in split_evenly(len(b), LEAST_WORDS)
            ]
            self._parts_shape = shape
        return self._parts

    def _score(self, part: VocabularyPart, chunk: slice) -> None:
        part.score(self._rows[chunk], self._targets[chunk])

    def _differentiate(self, part: VocabularyPart, chunk: slice) -> None:
        top, sums = joined([(each.maxima, each.sums) for each in self._parts])
        if part is self._parts[0]:
            chosen = self._parts[0].chosen
            for other in self._parts[1:]:
                chosen = chosen + other.chosen
            self._nll[chunk] = namespace(top).log(sums) + (top - chosen)
        part.differentiate(chunk, self._rows[chunk], top, sums, self._weights[chunk])

    def end(self) -> float:
        """Return the loss; all tasks must be done."""
        if self.train_flg:
            T, N, H = self._shape
            drows = self._parts[0].drows
            for part in self._parts[1:]:
                drows += part.drows
            self._dxs = batch_major(drows.reshape(T, N, H))
        loss: float = as_number((self._nll * self._weights).sum())
        return loss

    def _score_targets(self) -> None:
        W, b = self.params
        self._nll[...] = -target_log_probs(self._rows, self._targets, W, b, self._buffers)

    def backward(self, dout: float = 1.0) -> Array:
        """Return dxs (N, T, H); scale it and the gradients of W and b by dout."""
        if dout != 1:
            for array in (self._dxs, *self.grads):
                array *= dout
        return self._dxs
