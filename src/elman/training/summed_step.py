"""One training step on several blocks, by several processes: gradients are summed before norm, clipping and update.

The loss of an update is the mean over all counted tokens of its blocks, on all ranks. Each rank runs forward and
backward on its own rows of every block, with the fraction that they are of these tokens as the factor of its loss; the
sum over blocks and ranks is then the gradient that one process has on one minibatch, up to rounding.

Dropout masks and the candidates of a sampled softmax are drawn for the whole minibatch by every rank, from the same
random numbers, so they do not depend on how many ranks there are.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array, as_ids, empty, namespace, to_numpy, zeros
from elman.layers.dropout import TimeDropout, dropouts_of
from elman.layers.output import TimeAffineSoftmaxWithLoss
from elman.layers.sampled import TimeSampledSoftmaxWithLoss
from elman.layers.softmax import IGNORE_LABEL
from elman.training.ranks import Ranks
from elman.training.step import Merged, TrainingStep, merge_shared


class SummedStep(TrainingStep):
    """`TrainingStep` whose gradients are summed over the blocks of an update, and over ``ranks``.

    Call `begin` with the targets of all blocks, `add` with each block, and `finish`.
    """

    def __init__(self, *options: Any, ranks: Ranks) -> None:
        super().__init__(*options)
        self.ranks = ranks
        self._sums: GradientSums | None = None
        self._ignored = getattr(getattr(self.model, "loss_layer", None), "ignore_label", IGNORE_LABEL)

    def begin(self, targets: Sequence[NDArray[Any]]) -> None:
        """Begin an update on blocks with these targets, (N, T) each."""
        self._tokens = sum(math.prod(ts.shape) for ts in targets)
        self._counted = sum(self._count(ts) for ts in targets)
        self._left = len(targets)
        self._loss = np.zeros(1)  # (1,)

    def add(self, xs: NDArray[Any], ts: NDArray[Any]) -> None:
        """Add the gradient of the block xs -> ts (N, T), of which this rank computes its own rows."""
        rows = self.ranks.rows(len(xs))
        own, count = ts[rows], self._count(ts[rows])
        if not count and self._count(ts):  # of no weight: any target that other ranks have will do
            own = np.full_like(own, ts[ts != self._ignored][0])
        fraction = count / self._counted
        dout = fraction * (self._tokens if self.reduction == "sum" else 1.0)
        self._left -= 1
        with rows_of_batch(self.model, rows, ts):
            self._loss[0] += fraction * float(self.model.forward(xs[rows], own))
            if self._sums is None:
                self._sums = GradientSums(self.model, self._merged(), self._tokens, self.ranks)
            self._sums.add_early(self._merged(), dout, last=not self._left)
            self.model.backward(dout)
        self._sums.add(self._merged())

    def finish(self) -> tuple[float, float]:
        """Sum over all ranks, and update; return the mean loss and the gradient's norm before clipping."""
        assert self._sums is not None
        receive_loss = self.ranks.sum(self._loss)
        merged = self._sums.reduce()
        receive_loss()
        loss = float(self._loss[0])
        norm = self.update(loss, merged)
        self._sums.clear()
        return loss, norm

    def _count(self, ts: NDArray[Any]) -> int:
        return int((ts != self._ignored).sum())

    def _merged(self) -> Merged:
        model = self.model
        rows = getattr(model, "grad_rows", None) or [None] * len(model.grads)
        return merge_shared(model.params, model.grads, rows)


class GradientSums:
    """The gradients of one update, summed over blocks and then over ranks, in arrays of their own.

    Dense gradients lie one after another in two buckets, each of which is sent at once: that of the output layer,
    which is known after the forward pass and is sent while the other layers work, and that of all others. Of a sampled
    softmax only the columns of the candidates are sent, and of the word vectors only the rows that any rank has used,
    unless the blocks have as many tokens as there are words.
    """

    def __init__(self, model: Any, merged: Merged, tokens: int, ranks: Ranks) -> None:
        self.ranks = ranks
        self._params, grads, _ = merged
        numbers = range(len(self._params))
        output = getattr(model, "loss_layer", None)
        early = output.params if isinstance(output, TimeAffineSoftmaxWithLoss) else []
        of_output = [k for k in numbers if any(self._params[k] is each for each in early)]
        self._sampled = output if isinstance(output, TimeSampledSoftmaxWithLoss) else None
        self._columns = of_output if self._sampled is not None else []
        self._early = [k for k in of_output if k not in self._columns]
        self._rows = [
            k for k in numbers if _is_word_vectors(model, self._params[k]) and len(self._params[k]) > tokens
        ]
        self._late = [k for k in numbers if k not in (*of_output, *self._rows)]
        self._sums: list[Array] = [None] * len(self._params)
        self._buckets = [self._bucket(which, grads) for which in (self._early, self._late)]
        for k in (*self._columns, *self._rows):
            self._sums[k] = zeros(tuple(grads[k].shape), grads[k])
        self._marks = {
            k: np.zeros(len(grads[k]), np.uint8) for k in self._rows
        }  # (V,) each: rows that were used
        self._candidates: list[NDArray[Any]] = []  # of each block
        self._received: list[Callable[[], None]] = []
        self._to_clear: list[tuple[Array, Array]] = []  # tables, and the rows of them that are not zero
        self._blocks = 0

    def _bucket(self, which: Sequence[int], grads: Sequence[Array]) -> Array:
        """Return an array (n,) of which the sums of these gradients are views."""
        sizes = [math.prod(grads[k].shape) for k in which]
        bucket = empty((sum(sizes),), self._params[0])  # (n,)
        first = 0
        for k, size in zip(which, sizes, strict=True):
            self._sums[k] = bucket[first : first + size].reshape(tuple(grads[k].shape))
            first += size
        return bucket

    def add_early(self, merged: Merged, dout: float, last: bool) -> None:
        """Add the output layer's gradients, known up to the factor dout; send them after the last block."""
        _, grads, _ = merged
        for k in self._early:
            self._add(k, grads[k], dout)
        if self._sampled is not None:
            self._candidates.append(self._sampled.candidates)
            for k in self._columns:
                self._sums[k].T[self._candidates[-1]] += dout * grads[k].T[self._candidates[-1]]
        if last:
            self._send_bucket(0)
            if self._sampled is not None:
                candidates = np.unique(np.concatenate(self._candidates))
                for k in self._columns:
                    self._send_rows(self._sums[k].T, candidates)

    def add(self, merged: Merged) -> None:
        """Add the other gradients of a block."""
        _, grads, rows = merged
        for k in self._late:
            self._add(k, grads[k])
        for k in self._rows:
            used = rows[k]
            self._sums[k][used] += grads[k][used]
            self._marks[k][to_numpy(used)] = 1
        self._blocks += 1

    def _add(self, k: int, grad: Array, factor: float = 1.0) -> None:
        if self._blocks:
            self._sums[k] += grad if factor == 1 else grad * factor
        elif factor == 1:
            self._sums[k][...] = grad
        else:
            namespace(grad).multiply(grad, factor, out=self._sums[k])  # one pass over memory

    def _send_bucket(self, number: int) -> None:
        if len(self._buckets[number]):
            self._received.append(self.ranks.sum(self._buckets[number]))

    def _send_rows(self, table: Array, used: Array) -> None:
        """Send rows (U, ...) of a table; they are in their places when `_received` has been called."""
        rows = table[used]  # (U, ...)
        wait = self.ranks.sum(rows)

        def receive() -> None:
            wait()
            table[used] = rows
            self._to_clear.append((table, used))

        self._received.append(receive)

    def reduce(self) -> Merged:
        """Sum over all ranks; return parameters, gradients, and of the word vectors the rows that were used."""
        rows: list[Array | None] = [None] * len(self._params)
        marked = [self.ranks.mark(self._marks[k]) for k in self._rows]
        self._send_bucket(1)
        for k, receive in zip(self._rows, marked, strict=True):
            receive()
            rows[k] = as_ids(np.flatnonzero(self._marks[k]), self._params[k])  # (U,)
            self._send_rows(self._sums[k], rows[k])
        for receive in self._received:
            receive()
        self._received.clear()
        return self._params, self._sums, rows

    def clear(self) -> None:
        """Forget the sums: another update begins."""
        for table, used in self._to_clear:
            table[used] = 0
        for marks in self._marks.values():
            marks[:] = 0
        self._to_clear.clear()
        self._candidates.clear()
        self._blocks = 0


def _is_word_vectors(model: Any, param: Array) -> bool:
    """Return whether a parameter is a table of word vectors whose gradient is zero in rows that were not used."""
    embedding = getattr(model, "embedding", None)
    return embedding is not None and not embedding.tied and param is embedding.params[0]


@contextlib.contextmanager
def rows_of_batch(model: Any, rows: slice, ts: NDArray[Any]) -> Iterator[None]:
    """Within the block, what is drawn for rows of a minibatch is drawn as for all of it, with targets ts (N, T)."""
    found = (dropout for layer in getattr(model, "layers", ()) for dropout in dropouts_of(layer))
    dropouts = [dropout for dropout in found if isinstance(dropout, TimeDropout)]
    output = getattr(model, "loss_layer", None)
    for layer in dropouts:
        layer.rows_of_batch = rows, len(ts)
    if isinstance(output, TimeSampledSoftmaxWithLoss):
        output.batch_targets = ts
    try:
        yield
    finally:
        for layer in dropouts:
            layer.rows_of_batch = None
        if isinstance(output, TimeSampledSoftmaxWithLoss):
            output.batch_targets = None
