"""The output side of a language model: affine, softmax and loss as one layer, in chunks of rows.

With V = 10,000 words the scores of a block are by far its largest array, and a softmax over them is
bound by memory. Here the scores exist for one chunk of rows at a time: they are made, turned into
probabilities, into the loss and, while they are at hand, into their gradients. Where several threads may
work at once, each has its own part of the vocabulary, and the parts meet once a chunk, to agree on the sum
that makes probabilities of them.

One thread's part of the vocabulary in the output layer's work: its words' scores, and their gradients.
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
    namespace,
    time_major,
    zeros,
)
from elman.errors import ShapeError
from elman.layers.base import check_sequence, check_weights, fused_loops
from elman.layers.softmax import IGNORE_LABEL, check_targets, exp_scores, log_softmax_rows
from elman.workers import Task, run, split_evenly, worker_count


class VocabularyPart:
    """The words W[:, words] in a block of so many rows, done in chunks of at most ``step`` rows.

    After `score`, ``maxima`` and ``sums`` (K,) are those of the chunk's rows over these words, and ``chosen`` (K,)
    the scores of the targets that are among them, 0 for the others. ``drows`` collects the part of the gradient
    of the hidden rows that comes through these words.
    """

    def __init__(self, W: Array, b: Array, dW: Array, db: Array, words: slice, rows: int, step: int) -> None:
        self.words = words
        self._weights, self._grads = (W, b), (dW, db)  # of all words: a view would stay behind in a deep copy
        self._all = words == slice(0, W.shape[1])
        self._buffers = Buffers()
        H, V = W.shape[0], words.stop - words.start
        self.drows = empty((rows, H), W)
        self._probs = empty((step, V), W)
        self._more = empty((H, V) if step < rows else (0, 0), W)
        self._places = as_ids(range(step), W)

    def score(self, rows: Array, targets: Array) -> None:
        """Make exp(score - maximum) of rows (K, H) and these words, and what goes with it."""
        W, b = self._own(self._weights)
        scores = self._probs[: len(rows)]
        self._operand_W = self._buffers.operand("W", W)
        namespace(W).matmul(rows, self._operand_W, out=scores)
        self.targets = targets - self.words.start
        self.chosen, self.maxima, self.sums = exp_scores(scores, b, self.targets)

    def differentiate(self, chunk: slice, rows: Array, top: Array, sums: Array, weights: Array) -> None:
        """Write drows of the chunk, and add its part of dW and db; top and sums are those of all words together."""
        dscores = self._probs[: len(rows)]  # (softmax - one-hot)·weight
        xp, (dW, db) = namespace(dscores), self._own(self._grads)
        factors = weights / sums if self._all else weights * xp.exp(self.maxima - top) / sums
        if chunk.start == 0:
            db[...] = 0
        if fused := fused_loops(dscores):
            fused.differentiate_rows(dscores, factors, self.targets, weights, db)
        else:
            xp.multiply(dscores, factors[:, None], out=dscores)
            within = (self.targets >= 0) & (self.targets < len(db))
            dscores[self._places[: len(rows)], self.targets * within] -= weights * within
            db += dscores.sum(axis=0)
        operand = self._buffers.operand(f"dscores {len(rows)}", dscores)
        xp.matmul(operand, self._operand_W.T, out=self.drows[chunk])
        if chunk.start == 0:
            xp.matmul(rows.T, operand, out=dW)
        else:
            xp.matmul(rows.T, operand, out=self._more)
            dW += self._more

    def _own(self, arrays: tuple[Array, Array]) -> tuple[Array, Array]:
        """Return the columns of a matrix, and the entries of a vector, of these words."""
        matrix, vector = arrays
        return matrix[:, self.words], vector[self.words]


def joined(parts: Sequence[VocabularyPart]) -> tuple[Array, Array]:
    """Return the maxima of rows and, relative to them, the sums of exponentials, of all parts together."""
    top, sums = parts[0].maxima, parts[0].sums
    xp = namespace(top)
    for part in parts[1:]:
        higher = xp.maximum(top, part.maxima)
        sums = sums * xp.exp(top - higher) + part.sums * xp.exp(part.maxima - higher)
        top = higher
    return top, sums


CHUNK_SCORES = 1 << 22  # scores held at once: 16 MB in float32, rows enough for fast products
LEAST_ROWS = 64
LEAST_WORDS = 16  # of a thread's part of the vocabulary


def rows_per_chunk(rows: int, vocab_size: int, hidden_size: int = 1) -> int:
    """Return how many rows of V scores make a chunk: equally many in each, and as many as may be held.

    Every chunk of training goes over the whole gradient of W (H, V) once more, so that, however large V is, a
    chunk has `LEAST_ROWS`, or H where that is less: its scores are then no more than W.
    """
    most = max(1, CHUNK_SCORES // vocab_size, min(LEAST_ROWS, hidden_size))
    chunks = max(1, -(-rows // most))
    return max(1, -(-rows // chunks))


def log_probs(rows: Array, W: Array, b: Array) -> Array:
    """Return ln P over the vocabulary, (K, V), for hidden rows (K, H): a new array."""
    return log_softmax_rows(rows @ W + b)


def target_log_probs(
    rows: Array, targets: Array, W: Array, b: Array, buffers: Buffers | None = None
) -> Array:
    """Return ln P(target) as (K,) for hidden rows (K, H), never holding K·V numbers.

    With ``buffers`` the space for the scores is kept from call to call.
    """
    xp, K, V = namespace(W), rows.shape[0], W.shape[1]
    buffers = Buffers() if buffers is None else buffers
    chosen = zeros((K,), rows)
    step = rows_per_chunk(-(-K // worker_count()), V * worker_count())  # as many chunks for every hand

    def score(number: int, k: int) -> None:
        span = slice(k, min(k + step, K))
        scores = buffers.get(f"scores {number}", (step, V), W)[: span.stop - k]
        xp.matmul(rows[span], W, out=scores)
        found, maxima, sums = exp_scores(scores, b, targets[span])
        chosen[span] = found - maxima - xp.log(sums)

    tasks: list[Task] = []
    for number, k in enumerate(range(0, K, step)):  # the scores of one are written over those of another
        before = tasks[-worker_count()] if number >= worker_count() else None
        tasks.append(Task(partial(score, number % worker_count(), k), [before] if before else []))
    run(tasks)
    return chosen


class TimeAffineSoftmaxWithLoss:
    """(N, T, H) and targets (N, T) -> the mean loss in nats; W (H, V), b (V,).

    The same numbers as TimeAffine followed by TimeSoftmaxWithLoss. With ``train_flg`` the gradients are
    worked out within `forward`, and `backward`, called once after it, hands them out; without it
    `forward` gives the loss alone. ``dW`` may be given: a view of another layer's gradient, for tied weights.
    A model may call `begin`, see to the `tasks` and call `end` itself instead of `forward`.
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

    def forward(self, xs: Array, ts: Array) -> float:
        """Return the mean of -ln P(target) over the counted positions.

        Raises:
            ShapeError: xs and ts do not fit, a target is out of range, or every position is ignored.
        """
        self.begin(xs, ts)
        run(self.tasks())
        return self.end()

    def begin(self, xs: Array, ts: Array) -> None:
        """Take xs (N, T, H), which need not be filled yet, and ts."""
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
        self._weights = asarray(counted, like=W) / count  # (T·N,), of each position in the mean
        self._nll = self._buffers.get("nll", (T * N,), W)

    def tasks(self, after: Callable[[int], Sequence[Task]] = lambda row: ()) -> list[Task]:
        """Return the block's work; ``after`` names the tasks that fill the rows up to one, not included."""
        K, (H, V) = len(self._rows), self.params[0].shape
        if not self.train_flg:
            return [Task(self._score_targets, after(K))]
        step = rows_per_chunk(K, V, H)
        self._parts = self._parts_for(K, step)
        chunks = [slice(k, min(k + step, K)) for k in range(0, K, step)]
        tasks: list[Task] = []
        grads: list[Task] = []
        for chunk in chunks:
            # what one part has found of a chunk is read by all of them, before it finds anything of the next
            before = [*after(chunk.stop), *grads]
            scored = [Task(partial(self._score, part, chunk), before) for part in self._parts]
            grads = [Task(partial(self._differentiate, part, chunk), scored) for part in self._parts]
            tasks += scored + grads
        return tasks

    def _parts_for(self, rows: int, step: int) -> list[VocabularyPart]:
        """Return the parts of the vocabulary for chunks of so many rows: those of the last block where they fit."""
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
        top, sums = joined(self._parts)
        if part is self._parts[0]:
            chosen = self._parts[0].chosen
            for other in self._parts[1:]:
                chosen = chosen + other.chosen
            self._nll[chunk] = namespace(top).log(sums) + (top - chosen)
        part.differentiate(chunk, self._rows[chunk], top, sums, self._weights[chunk])

    def end(self) -> float:
        """Return the loss, once all tasks are done."""
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
        """Return dxs (N, T, H), with it and the gradients of W and b scaled by dout."""
        if dout != 1:
            for array in (self._dxs, *self.grads):
                array *= dout
        return self._dxs
