"""The output side of a language model: affine, softmax and loss as one layer, in chunks of rows.

With V = 10,000 words the scores of a block are by far its largest array, and a softmax over them is
bound by memory. Here the scores exist for one chunk of rows at a time: they are made, turned into
probabilities, into the loss and, while they are at hand, into their gradients. Where several threads may
work at once, each has its own part of the vocabulary, and the parts meet once a chunk, to agree on the sum
that makes probabilities of them.
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
    namespace,
    time_major,
    zeros,
)
from elman.crew import Task, hands, run, shares
from elman.errors import ShapeError
from elman.layers.base import check_sequence, check_weights
from elman.layers.softmax import IGNORE_LABEL, check_targets, exp_scores, log_softmax_rows
from elman.layers.vocabulary_part import VocabularyPart, joined

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
    step = rows_per_chunk(-(-K // hands()), V * hands())  # as many chunks for every hand

    def score(number: int, k: int) -> None:
        span = slice(k, min(k + step, K))
        scores = buffers.get(f"scores {number}", (step, V), W)[: span.stop - k]
        xp.matmul(rows[span], W, out=scores)
        found, maxima, sums = exp_scores(scores, b, targets[span])
        chosen[span] = found - maxima - xp.log(sums)

    tasks: list[Task] = []
    for number, k in enumerate(range(0, K, step)):  # the scores of one are written over those of another
        before = tasks[-hands()] if number >= hands() else None
        tasks.append(Task(partial(score, number % hands(), k), [before] if before else []))
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
        shape = (hands(), rows, step)
        if shape != self._parts_shape:
            (W, b), (dW, db) = self.params, self.grads
            self._parts = [
                VocabularyPart(W, b, dW, db, words, rows, step) for words in shares(len(b), LEAST_WORDS)
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
