"""Bidirectional recurrence: one layer reads a sequence from left to right, a second one from right to left.

    hs→ = forward_layer(x_1 … x_T)         hs← = backward_layer(x_T … x_1), turned back
    hs_t = (hs→_t, hs←_t)                  dxs = dxs→ + dxs←, turned back

So the output at step t depends on the whole sequence. It serves to label tokens, fill gaps and compare whole
sentences. It is no next-word model, because it has already seen the next word.

Source: M. Schuster and K. Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing
45 (1997).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elman.arrays import (
    Array,
    Buffers,
    as_ids,
    as_rows,
    asarray,
    batch_major,
    namespace,
    take_rows,
    time_major,
    to_numpy,
)
from elman.errors import ConfigError, ShapeError
from elman.layers.base import check_gradient, check_sequence
from elman.layers.recurrent import TimeRecurrence
from elman.one_line import one_line


class TimeBidirectional:
    """Two recurrent layers, one in each direction: (N, T, D) -> (N, T, 2H), the outputs side by side.

    Args:
        forward_layer: a TimeRNN, TimeLSTM or TimeGRU, which reads from left to right.
        backward_layer: another one with the same input width D, which reads from right to left. Its H may differ.

    ``params`` and ``grads`` are those of the two layers, in this order. Every block is a set of whole sequences: there
    is no state to carry, because the text after the block is not known.

    Raises:
        ConfigError: a layer is stateful, or both are the same object.
        ShapeError: the layers have different input widths.
    """

    def __init__(self, forward_layer: TimeRecurrence, backward_layer: TimeRecurrence) -> None:
        if forward_layer is backward_layer:
            raise ConfigError("forward_layer and backward_layer must be two layers, got the same one twice")
        for name, layer in (("forward_layer", forward_layer), ("backward_layer", backward_layer)):
            if layer.stateful:
                raise ConfigError(
                    f"{name} must not be stateful: reading from right to left starts at the end of the text, "
                    "so no state goes from one block to the next; make it with `stateful=False`"
                )
        widths = [layer.D for layer in (forward_layer, backward_layer)]
        if widths[0] != widths[1]:
            raise ShapeError(f"both layers must have the same input width D, got {widths[0]} and {widths[1]}")
        self.forward_layer, self.backward_layer = forward_layer, backward_layer
        self.params = [*forward_layer.params, *backward_layer.params]
        self.grads = [*forward_layer.grads, *backward_layer.grads]
        self._buffers = Buffers()

    def __repr__(self) -> str:
        return one_line(self, repr(self.forward_layer), repr(self.backward_layer))

    def forward(self, xs: Array, lengths: Sequence[int] | Array | None = None) -> Array:
        """Return hs (N, T, 2H) for xs (N, T, D).

        Args:
            xs: N sequences. Shorter ones are filled up to T steps with any finite numbers.
            lengths: the number of steps (N,) of each sequence. The second layer starts at each sequence's own end, and
                the steps after it have output 0 and gradient 0. None means that every sequence has T steps. The state
                ``forward_layer.h`` is always that after T steps, so take the last output of a shorter sequence from hs.

        Raises:
            ShapeError: xs has another width, or lengths is not N integers from 1 to T.
        """
        D, b = self.forward_layer.D, self.forward_layer.b
        check_sequence("xs", xs, D)
        steps = time_major(asarray(xs, b))  # (T, N, D)
        T, N, _ = steps.shape
        order, within = _reading_order(T, N, lengths)
        self._order = as_ids(order, b)  # (T·N,)
        self._within = None if within is None else asarray(within, b)  # (T, N, 1)

        ahead = time_major(self.forward_layer.forward(batch_major(steps)))  # (T, N, H)
        turned = self._turn("turned_xs", steps)
        back = time_major(self.backward_layer.forward(batch_major(turned)))  # (T, N, H), the last step first
        H = ahead.shape[2]
        hs = self._buffers.get("hs", (T, N, H + back.shape[2]), b)
        hs[:, :, :H] = ahead
        hs[:, :, H:] = self._turn("turned_hs", back)
        if self._within is not None:
            hs *= self._within
        self._shape = (T, N, D, H, back.shape[2])
        return batch_major(hs)

    def backward(self, dhs: Array) -> Array:
        """Return dxs (N, T, D) for dhs (N, T, 2H), and write the gradients of both layers, summed over the block."""
        T, N, D, H, H_back = self._shape
        check_gradient(dhs, (N, T, H + H_back))
        steps = self._buffers.get("dhs", (T, N, H + H_back), self.forward_layer.b)
        steps[...] = time_major(dhs)
        if self._within is not None:
            steps *= self._within
        ahead = self.forward_layer.backward(batch_major(steps[:, :, :H]))
        turned = self._turn("turned_dhs", steps[:, :, H:])
        back = self.backward_layer.backward(batch_major(turned))
        dxs = self._buffers.get("dxs", (T, N, D), steps)
        namespace(dxs).add(time_major(ahead), self._turn("turned_dxs", time_major(back)), out=dxs)
        return batch_major(dxs)

    def _turn(self, name: str, steps: Array) -> Array:
        """Return steps (T, N, K) with every sequence in reverse order. Doing it twice restores them."""
        turned = self._buffers.get(name, tuple(steps.shape), steps)  # (T, N, K)
        take_rows(as_rows(steps), self._order, out=as_rows(turned))
        return turned


def _reading_order(
    T: int, N: int, lengths: Sequence[int] | Array | None
) -> tuple[NDArray[np.intp], NDArray[np.bool_] | None]:
    """Return the row t·N + n that each step of the second layer reads (T·N,), and which steps count (T, N, 1).

    A sequence of L steps is read as L - 1, …, 0; the steps after its end stay where they are.
    """
    t, n = np.arange(T)[:, None], np.arange(N)  # (T, 1), (N,)
    if lengths is None:
        return ((T - 1 - t) * N + n).reshape(-1), None
    given = to_numpy(lengths)
    if (
        given.shape != (N,)
        or not np.issubdtype(given.dtype, np.integer)
        or given.min() < 1
        or given.max() > T
    ):
        raise ShapeError(
            f"lengths must be {N} integers from 1 to {T}, one for each sequence, got {given.tolist()}"
        )
    L = given.astype(np.intp)  # (N,)
    within = t < L  # (T, N)
    return (np.where(within, L - 1 - t, t) * N + n).reshape(-1), within[:, :, None]
