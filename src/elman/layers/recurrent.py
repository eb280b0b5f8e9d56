"""The part that TimeRNN, TimeLSTM and TimeGRU share: the loop over a block's steps, and the state between blocks.

The input side x_t·Wx + b has no recurrence, so `InputProjection` computes it for many steps in one product.
`TimeRecurrence` does the rest; a cell adds its own equations.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from elman.arrays import (
    Array,
    Buffers,
    as_rows,
    batch_major,
    contiguous,
    namespace,
    time_major,
    zeros,
)
from elman.errors import ShapeError
from elman.layers.base import check_gradient, check_sequence, check_state, check_weights, copied_state
from elman.layers.dropout import WeightDropout
from elman.one_line import layer_line


class InputProjection:
    """zs = xs·Wx + b for time-major xs (T, N, D): the part of a recurrence that needs no loop.

    ``Wx=None`` means that xs is the product already, (T, N, G), as looking up rows of Wx gives it for a one-hot input.
    The steps can be done in spans, in order.
    """

    def __init__(self, owner: str, Wx: Array | None, b: Array) -> None:
        G = b.shape[0]
        if Wx is not None and (Wx.ndim != 2 or Wx.shape[1] != G):
            raise ShapeError(f"{owner}: Wx must be (D, {G}), got {tuple(Wx.shape)}")
        self.Wx, self.b = Wx, b
        self.D = G if Wx is None else Wx.shape[0]
        self.weights = [] if Wx is None else [Wx]
        self.weight_grads = [zeros(tuple(W.shape), W) for W in self.weights]
        self.db = zeros((G,), b)  # (G,)
        self._buffers = Buffers()

    def begin(self, xs: Array) -> Array:
        """Take xs (T, N, D), which may be filled later; return zs (T, N, G), which `forward_steps` fills."""
        T, N, _ = xs.shape
        self._xs, self._Wx = xs, None if self.Wx is None else self._buffers.operand("Wx", self.Wx)
        self._zs = self._buffers.get("zs", (T, N, self.b.shape[0]), self.b)
        return self._zs

    def forward_steps(self, first: int, last: int) -> None:
        """Write zs of the steps first ≤ t < last."""
        xs, zs = self._xs[first:last], self._zs[first:last]
        xp = namespace(self.b)
        if self._Wx is None:
            xp.add(xs, self.b, out=zs)
        else:
            xp.matmul(as_rows(xs), self._Wx, out=as_rows(zs))
            xp.add(zs, self.b, out=zs)

    def begin_backward(self, dzs: Array) -> Array:
        """Take dzs (T, N, G), which may be filled later; return dxs (T, N, D), which `backward_steps` fills."""
        T, N, _ = dzs.shape
        self._dzs = dzs
        self._dxs = dzs if self.Wx is None else self._buffers.get("dxs", (T, N, self.D), self.b)
        return self._dxs

    def backward_steps(self, first: int, last: int) -> None:
        """Write dxs of the steps first ≤ t < last."""
        if self._Wx is not None:
            dzs, dxs = self._dzs[first:last], self._dxs[first:last]
            namespace(self.b).matmul(as_rows(dzs), self._Wx.T, out=as_rows(dxs))

    def write_gradients(self) -> None:
        """Write dWx and db."""
        rows = as_rows(self._dzs)  # (T·N, G)
        self.db[...] = rows.sum(axis=0)
        for dWx in self.weight_grads:
            namespace(self.b).matmul(as_rows(self._xs).T, rows, out=dWx)


class TimeRecurrence(ABC):
    """T steps of one cell over N sequences, with backpropagation through time.

    `forward` calls `begin`, `forward_steps` and `end`; `backward` calls `begin_backward`, `backward_steps`,
    `end_backward` and the functions that `weight_gradients` returns. A model of several layers may call these itself,
    one span of steps after another (backward in reverse order), so that one thread can work on layer 2 while another
    is at the next span of layer 1. ``dropout``, if set, drops weights of Wh.
    """

    h: Array | None
    dh: Array | None
    gates: ClassVar[int]  # the products are gates·H wide
    states: ClassVar[tuple[str, ...]]  # names of the carried states: h, and for the LSTM also c

    def __init__(self, Wx: Array | None, Wh: Array, b: Array, stateful: bool = False) -> None:
        name, H = type(self).__name__, Wh.shape[0]
        G = self.gates * H
        check_weights(name, Wh=(Wh, (H, G)), b=(b, (G,)))
        self.projection = InputProjection(name, Wx, b)
        self.Wh, self.dWh = Wh, zeros((H, G), Wh)  # (H, G)
        self.params = [*self.projection.weights, Wh, b]
        self.grads = [*self.projection.weight_grads, self.dWh, self.projection.db]
        self.stateful = stateful
        self.reset_state()
        self.dh = None
        self.dropout: WeightDropout | None = None
        self._buffers = Buffers()

    def __repr__(self) -> str:
        return layer_line(self, self.projection.D, len(self.Wh))

    def forward(self, xs: Array) -> Array:
        """Return hs (N, T, H) for xs (N, T, D).

        Raises:
            ShapeError: xs has another width, or the carried state is for another batch size.
        """
        hs = self.begin(xs)
        self.forward_steps(0, xs.shape[1])
        self.end()
        return hs

    @property
    def hs(self) -> Array:
        """The output of the last `forward`, (N, T, H), valid until the next `forward`."""
        return batch_major(self._hs[1:])

    @property
    def inside(self) -> dict[str, Array]:
        """The states (and gates) of the last `forward` by name: (N, T, H) each, valid as long as hs."""
        return {name: batch_major(history[1:]) for name, history in self._carried.items()}

    def backward(self, dhs: Array) -> Array:
        """Return dxs (N, T, D) for dhs (N, T, H), and write the gradients of the weights, summed over the block."""
        dxs = self.begin_backward(dhs)
        self.backward_steps(0, dhs.shape[1])
        self.end_backward()
        for write in self.weight_gradients():
            write()
        return dxs

    def begin(self, xs: Array) -> Array:
        """Take xs (N, T, D), which may be filled later; return hs (N, T, H), which `forward_steps` fills."""
        check_sequence("xs", xs, self.projection.D)
        N, T, _ = xs.shape
        H = self.Wh.shape[0]
        self._zs = self.projection.begin(time_major(xs))  # (T, N, G)
        carried = {}  # arrays (T + 1, N, H) whose first entry is the incoming state
        for name in self.states:
            history = carried[name] = self._buffers.get(name + "s", (T + 1, N, H), self.Wh)
            state = getattr(self, name) if self.stateful else None
            if state is not None:
                check_state(name, state, N, H)
            history[0] = 0 if state is None else state
        self._carried, self._hs = carried, carried["h"]
        self._product_Wh = self._buffers.operand("Wh", self._dropped_Wh())
        self._prepare(T, N, H)
        return batch_major(self._hs[1:])

    def end(self) -> None:
        """Keep a copy of the last state for the next block: the buffers will be overwritten."""
        for name, history in self._carried.items():
            setattr(self, name, history[-1] + 0)

    def begin_backward(self, dhs: Array) -> Array:
        """Take dhs (N, T, H), which may be filled later; return dxs (N, T, D), which `backward_steps` fills."""
        T, N, H = self._hs.shape[0] - 1, self._hs.shape[1], self._hs.shape[2]
        check_gradient(dhs, (N, T, H))
        self._dhs = time_major(dhs)  # (T, N, H)
        self._flowing = {}  # the gradient of each state, coming back from step t + 1: (N, H) each
        for name in self.states:
            flow = self._flowing[name] = self._buffers.get("d" + name, (N, H), self.Wh)
            flow[...] = 0
        # one copy a block, after which the products are faster than with a transposed view
        self._WhT = contiguous(self._product_Wh.T)  # (G, H)
        towards_x, self._towards_h = self._prepare_backward(T, N, H)
        return batch_major(self.projection.begin_backward(towards_x))

    def end_backward(self) -> None:
        """Keep copies of the gradients of the incoming state."""
        for name, flow in self._flowing.items():
            setattr(self, "d" + name, flow + 0)

    @abstractmethod
    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last; the earlier ones are done."""

    @abstractmethod
    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first, in this order; the later ones are done."""

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return the functions to call after the steps; they do not depend on each other."""
        return [self._write_hidden_gradients, self.projection.write_gradients]

    def _write_hidden_gradients(self) -> None:
        namespace(self.Wh).matmul(as_rows(self._hs[:-1]).T, as_rows(self._towards_h), out=self.dWh)
        if self._mask is not None:
            self.dWh *= self._mask

    def _dropped_Wh(self) -> Array:
        """Return Wh∘mask (H, G) with a new mask; Wh itself if nothing is dropped."""
        self._mask = None if self.dropout is None else self.dropout.begin(like=self.Wh)
        if self._mask is None:
            return self.Wh
        dropped = self._buffers.get("dropped Wh", tuple(self.Wh.shape), self.Wh)
        namespace(self.Wh).multiply(self.Wh, self._mask, out=dropped)
        return dropped

    def _prepare(self, T: int, N: int, H: int) -> None:
        """Make the arrays that the forward steps of this block write to, besides the states."""
        return

    @abstractmethod
    def _prepare_backward(self, T: int, N: int, H: int) -> tuple[Array, Array]:
        """Make the arrays for the gradients of x_t·Wx + b and of h_{t-1}·Wh, (T, N, G) each, and return them."""

    def set_state(self, h: Array) -> None:
        """Set the incoming state (N, H) of the next block; only a stateful layer reads it."""
        self.h = copied_state(h, self.Wh)

    def reset_state(self) -> None:
        """Forget the carried state: the next block starts from zeros."""
        for name in self.states:
            setattr(self, name, None)
