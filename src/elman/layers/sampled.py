"""Sampled softmax: training over a large vocabulary with the scores of a few thousand words per block.

For every block a set C of candidates is drawn: word j is in it with probability p_j, independently of the others, or
because it is a target of the block. Given C, the probability that y is the target is proportional to P(y | h) / p_y, so

    loss = -ln softmax(h·W_j + b_j - ln p_j over j in C)[y]

has its smallest mean where softmax(h·W + b) over all V words is P(y | h): this trains the full softmax, with which the
model is evaluated. The loss itself is lower than that of the full softmax, because it is easier to tell the target from
a few words than from all.

Source: S. Jean, K. Cho, R. Memisevic and Y. Bengio, ACL 2015. Unlike there, candidates are drawn independently, one
set for all rows of a block, and the block's targets count as drawn.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array, as_ids, is_torch, time_major
from elman.errors import ConfigError
from elman.layers.output import TimeAffineSoftmaxWithLoss
from elman.layers.softmax import check_targets
from elman.workers import Task

FLATTENED = 0.75  # words are drawn in proportion to this power of their counts: rare ones a little more often
ROUNDED_TO = 512  # the number of columns is a multiple of this, so that most blocks use the same arrays
NEVER = -1e30  # the bias of a column without a candidate: the exponential of its score is 0


class TimeSampledSoftmaxWithLoss(TimeAffineSoftmaxWithLoss):
    """A TimeAffineSoftmaxWithLoss that, while ``train_flg``, scores a sample of the vocabulary.

    Args:
        full: the layer whose weights and gradients this one uses; without ``train_flg`` they do the same.
        counts: how often each word (V,) occurs in the training text.
        candidates: how many words are drawn on average, besides the block's targets.
        rng: draws the words.

    ``batch_targets``, if set, are the targets (N, T) of a whole batch of which the block is a part: all parts of the
    batch then have the same candidates.

    Raises:
        ConfigError: there are not fewer candidates than words, or the weights are torch tensors.
    """

    def __init__(
        self,
        full: TimeAffineSoftmaxWithLoss,
        counts: NDArray[np.integer],
        candidates: int,
        rng: np.random.Generator,
    ) -> None:
        W, b = full.params
        if is_torch(W):
            raise ConfigError(
                "the sampled softmax needs NumPy arrays, got torch tensors; use `backend='numpy'`, or `softmax='full'`"
            )
        if not 0 < candidates < len(b):
            raise ConfigError(
                f"the sampled softmax needs fewer candidates than the vocabulary's {len(b):,} words, got "
                f"{candidates:,}; use `softmax='full'`"
            )
        super().__init__(W, b, full.grads[0], full.ignore_label)
        self.params, self.grads = full.params, full.grads
        self.rng = rng
        self.frequency = np.maximum(counts, 1) / np.maximum(counts, 1).sum()  # (V,), of each word in the text
        self.drawn = inclusion_probabilities(self.frequency**FLATTENED, candidates)  # (V,)
        self.batch_targets: NDArray[np.integer] | None = None
        self._inner: dict[int, TimeAffineSoftmaxWithLoss] = {}  # by number of columns

    def begin(self, xs: Array, ts: Array) -> None:
        """Take xs (N, T, H), which may be filled later, and ts; draw the candidates."""
        if not self.train_flg:
            super().begin(xs, ts)
            return
        W, b = self.params
        ids = time_major(as_ids(ts, W))  # (T, N)
        targets, counted, count = check_targets(ids, self.ignore_label, len(b))
        chosen = self.rng.random(len(b)) < self.drawn  # (V,)
        if self.batch_targets is None:
            chosen[targets[counted]] = True
        else:
            of_batch, counted_of_batch, count = check_targets(self.batch_targets, self.ignore_label, len(b))
            chosen[of_batch[counted_of_batch]] = True
        self.candidates = np.flatnonzero(chosen)  # (C,)
        within = (np.cumsum(chosen) - 1)[targets]  # (T, N), indices among the candidates
        within[~counted] = self.ignore_label
        self._now = self._inner_layer(len(self.candidates))
        columns, biases = self._now.params
        C = len(self.candidates)
        columns.T[:C] = W.T[self.candidates]
        columns.T[C:] = 0
        biases[:C] = b[self.candidates] - self._log_inclusion(count)
        biases[C:] = NEVER
        self._now.begin(xs, within.T)

    def tasks(self, after: Callable[[int], Sequence[Task]] = lambda row: ()) -> list[Task]:
        """Return the tasks of the block. ``after(row)`` returns the tasks that fill the rows before that row."""
        return self._now.tasks(after) if self.train_flg else super().tasks(after)

    def end(self) -> float:
        """Return the loss; all tasks must be done. The gradient of words that are not candidates is 0."""
        if not self.train_flg:
            return super().end()
        loss = self._now.end()
        C = len(self.candidates)
        for grad, found in zip(self.grads, self._now.grads, strict=True):
            grad[...] = 0
            grad.T[self.candidates] = found.T[:C]
        return loss

    def backward(self, dout: float = 1.0) -> Array:
        """Return dxs (N, T, H); scale it and the gradients of W and b by dout."""
        self._dxs = self._now.backward()
        return super().backward(dout)

    def _inner_layer(self, candidates: int) -> TimeAffineSoftmaxWithLoss:
        """Return a layer with columns for at least so many candidates."""
        W, b = self.params
        C = -(-candidates // ROUNDED_TO) * ROUNDED_TO
        if C not in self._inner:
            columns, biases = np.empty((C, W.shape[0]), W.dtype).T, np.empty(C, b.dtype)  # (H, C), (C,)
            gradient = np.empty((C, W.shape[0]), W.dtype).T  # (H, C)
            self._inner[C] = TimeAffineSoftmaxWithLoss(columns, biases, gradient, self.ignore_label)
        return self._inner[C]

    def _log_inclusion(self, rows: int) -> NDArray[np.float64]:
        """Return ln p of the candidates (C,), which are drawn, or are the target of one of so many rows."""
        absent = (1 - self.drawn[self.candidates]) * (1 - self.frequency[self.candidates]) ** rows
        logs: NDArray[np.float64] = np.log1p(-absent)
        return logs


def inclusion_probabilities(weights: NDArray[np.float64], expected: int) -> NDArray[np.float64]:
    """Return p (V,) = 1 - exp(-λ·weight), with λ such that Σp is the expected number of words drawn."""
    low, high = 0.0, 1.0
    while (1 - np.exp(-high * weights)).sum() < expected:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 - np.exp(-middle * weights)).sum() < expected else (low, middle)
    return 1 - np.exp(-high * weights)
