"""The part that all recurrent layers share: the steps of a block, and the state carried between blocks.

The input side x_t·Wx + b has no recurrence, so `InputProjection` computes it for many steps in one product.
`TimeRecurrence` keeps the states. A layer adds its own equations to `TimeDenseRecurrence`, in which h_{t-1} is
multiplied by a matrix (RNN, LSTM, GRU), or to `elman.layers.diagonal.TimeDiagonalRecurrence`, in which it is not.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from elman.arrays import (
    Array,
    Buffers,
    as_rows,
    batch_major,
    namespace,
    time_major,
    zeros,
)
from elman.errors import ConfigError, ShapeError
from elman.layers.base import (
    Weight,
    check_gradient,
    check_sequence,
    check_state,
    check_weights,
    copied_state,
)
from elman.layers.dropout import WeightDropout
from elman.layers.kernels import kernels_for
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
        self.xs, self._Wx = xs, None if self.Wx is None else self._buffers.operand("Wx", self.Wx)
        self._zs = self._buffers.get("zs", (T, N, self.b.shape[0]), self.b)
        return self._zs

    def forward_steps(self, first: int, last: int) -> None:
        """Write zs of the steps first ≤ t < last."""
        xs, zs = self.xs[first:last], self._zs[first:last]
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
        self.dxs = dzs if self.Wx is None else self._buffers.get("dxs", (T, N, self.D), self.b)
        return self.dxs

    def backward_steps(self, first: int, last: int) -> None:
        """Write dxs of the steps first ≤ t < last."""
        if self._Wx is not None:
            dzs, dxs = self._dzs[first:last], self.dxs[first:last]
            namespace(self.b).matmul(as_rows(dzs), self._Wx.T, out=as_rows(dxs))

    def write_gradients(self) -> None:
        """Write dWx and db."""
        rows = as_rows(self._dzs)  # (T·N, G)
        self.db[...] = rows.sum(axis=0)
        for dWx in self.weight_grads:
            namespace(self.b).matmul(as_rows(self.xs).T, rows, out=dWx)


class StatefulLayer(ABC):
    """A layer over T steps of N sequences that carries states from block to block.

    `forward` calls `begin`, `forward_steps` and `end`; `backward` calls `begin_backward`, `backward_steps`,
    `end_backward` and the functions that `weight_gradients` returns. A model of several layers may call these itself,
    one span of steps after another (backward in reverse order), so that one thread can work on layer 2 while another
    is at the next span of layer 1.

    ``h`` is the output at the last step. It is one of the states that are carried between blocks even where no
    later step reads it, because it is what the next token is predicted from.
    """

    h: Array | None
    dh: Array | None
    params: list[Array]
    grads: list[Array]
    stateful: bool
    is_block: ClassVar[bool] = False  # whether it is normalised and adds to its input by itself

    @property
    @abstractmethod
    def state_widths(self) -> dict[str, int]:
        """The width of each carried state by its name."""

    @abstractmethod
    def names_inside(self) -> tuple[str, ...]:
        """Return the names of what `inside` has: the states, then the gates."""

    @property
    @abstractmethod
    def recurrence(self) -> Any:
        """The recurrence in the layer, which may be the layer itself."""

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
        return self.inside["h"]

    @property
    @abstractmethod
    def inside(self) -> dict[str, Array]:
        """The states (and gates) of the last `forward` by name: (N, T, width) each, valid as long as hs."""

    def backward(self, dhs: Array) -> Array:
        """Return dxs (N, T, D) for dhs (N, T, H), and write the gradients of the weights, summed over the block."""
        dxs = self.begin_backward(dhs)
        self.backward_steps(0, dhs.shape[1])
        self.end_backward()
        for write in self.weight_gradients():
            write()
        return dxs

    @abstractmethod
    def begin(self, xs: Array) -> Array:
        """Take xs (N, T, D), which may be filled later; return hs (N, T, H), which `forward_steps` fills."""

    @abstractmethod
    def end(self) -> None:
        """Keep a copy of the last state for the next block: the buffers will be overwritten."""

    @abstractmethod
    def begin_backward(self, dhs: Array) -> Array:
        """Take dhs (N, T, H), which may be filled later; return dxs (N, T, D), which `backward_steps` fills."""

    @abstractmethod
    def end_backward(self) -> None:
        """Keep copies of the gradients of the incoming state."""

    @abstractmethod
    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last; the earlier ones are done."""

    @abstractmethod
    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first, in this order; the later ones are done."""

    @abstractmethod
    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return the functions to call after the steps; they do not depend on each other."""

    @classmethod
    def hidden_size(cls, D: int, H: int) -> int:
        """Return the hidden size that layers for an input of D numbers have where H is wanted: H, if it is free."""
        return H

    def connect(self, first: "StatefulLayer") -> None:
        """Take the first layer of the model, if this is another one; only a layer that reads from it keeps it."""
        return

    def carry(self, states: Mapping[str, Array | None]) -> None:
        """Set the carried states, (N, width) each, by name; None stands for zeros."""
        for name in self.state_widths:
            setattr(self, name, copied_state(states[name], self.params[0]))

    def carried(self) -> dict[str, Array | None]:
        """Return the carried states, (N, width) each, by name; they are not copied."""
        return {name: getattr(self, name) for name in self.state_widths}

    def reset_state(self) -> None:
        """Forget the carried state: the next block starts from zeros."""
        for name in self.state_widths:
            setattr(self, name, None)


class TimeRecurrence(StatefulLayer):
    """T steps of one cell over N sequences, with backpropagation through time."""

    gates: int  # the products x·Wx are gates·H wide
    states: ClassVar[tuple[str, ...]]  # names of the carried states: h, and of some cells c or x
    gate_names: ClassVar[tuple[str, ...]] = ()  # what else is `inside`

    def __init__(self, Wx: Array | None, b: Array, stateful: bool = False) -> None:
        self.projection = InputProjection(type(self).__name__, Wx, b)
        self.b, self.D, self.H = b, self.projection.D, b.shape[0] // self.gates
        self.params = [*self.projection.weights, b]
        self.grads = [*self.projection.weight_grads, self.projection.db]
        self.stateful = stateful
        self.reset_state()
        for name in self.states:
            setattr(self, "d" + name, None)
        self._buffers = Buffers()

    @classmethod
    def gates_of(cls, D: int, H: int) -> int:
        """Return the number of gates of a layer of H units for an input of D numbers; 0 stands for a one-hot input."""
        return cls.gates

    @classmethod
    @abstractmethod
    def plan(cls, D: int, H: int) -> dict[str, Weight]:
        """Return the weights of a layer of H units by the names of the constructor's arguments, in order of drawing.

        D = 0 stands for a one-hot input: there is no Wx then.
        """

    @classmethod
    def names_inside(cls) -> tuple[str, ...]:
        """Return the names of what `inside` has: the states, then the gates."""
        return (*cls.states, *cls.gate_names)

    @property
    def state_widths(self) -> dict[str, int]:
        """The width of each carried state by its name."""
        return dict.fromkeys(self.states, self.H)

    @property
    def recurrence(self) -> "TimeRecurrence":
        """This layer."""
        return self

    @property
    def Wx(self) -> Array | None:
        """Wx (D, G); None for a one-hot input."""
        return self.projection.Wx

    def __repr__(self) -> str:
        return layer_line(self, self.D, self.H)

    @property
    def inside(self) -> dict[str, Array]:
        """The states (and gates) of the last `forward` by name: (N, T, H) each, valid as long as hs."""
        return {name: batch_major(history[1:]) for name, history in self._carried.items()}

    @property
    def dhs(self) -> Array:
        """The gradient (N, T, H) that the output received from above in the last `backward`."""
        return batch_major(self._dhs)

    def begin(self, xs: Array) -> Array:
        """Take xs (N, T, D), which may be filled later; return hs (N, T, H), which `forward_steps` fills."""
        check_sequence("xs", xs, self.D)
        N, T, _ = xs.shape
        self._zs = self.projection.begin(self._read(time_major(xs)))  # (T, N, G)
        carried = {}  # arrays (T + 1, N, H) whose first entry is the incoming state
        for name, width in self.state_widths.items():
            history = carried[name] = self._buffers.get(name + "s", (T + 1, N, width), self.b)
            state = getattr(self, name) if self.stateful else None
            if state is not None:
                check_state(name, state, N, width)
            history[0] = 0 if state is None else state
        self._carried, self._hs = carried, carried["h"]
        self._prepare(T, N, self.H)
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
        self._flowing = {}  # the gradient of each state, coming back from step t + 1: (N, width) each
        for name, history in self._carried.items():
            flow = self._flowing[name] = self._buffers.get("d" + name, tuple(history.shape[1:]), self.b)
            flow[...] = 0
        return batch_major(self.projection.begin_backward(self._prepare_backward(T, N, H)))

    def end_backward(self) -> None:
        """Keep copies of the gradients of the incoming state."""
        for name, flow in self._flowing.items():
            setattr(self, "d" + name, flow + 0)

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return the functions to call after the steps; they do not depend on each other."""
        return [self.projection.write_gradients]

    def _read(self, xs: Array) -> Array:
        """Return what is multiplied by Wx, for time-major xs (T, N, D): xs itself, if a cell does not say otherwise."""
        return xs

    def _prepare(self, T: int, N: int, H: int) -> None:
        """Make the arrays that the forward steps of this block write to, besides the states."""
        return

    @abstractmethod
    def _prepare_backward(self, T: int, N: int, H: int) -> Array:
        """Make the arrays that the backward steps write to; return that of the gradient of x_t·Wx + b: (T, N, G)."""

    def set_state(self, h: Array, c: Array | None = None) -> None:
        """Set the incoming h, and c of a layer that has one, (N, H) each; what is left out becomes zeros.

        Only a stateful layer reads them.

        Raises:
            ConfigError: a layer without c is given one.
        """
        if c is not None and "c" not in self.states:
            raise ConfigError(f"a {type(self).__name__} carries no c; give h alone")
        self.carry({**dict.fromkeys(self.states), "h": h, "c": c})


class TimeDenseRecurrence(TimeRecurrence):
    """A recurrence in which h_{t-1} is multiplied by a matrix Wh (H, G): RNN, LSTM and GRU.

    ``dropout``, if set, drops weights of Wh.
    """

    def __init__(self, Wx: Array | None, Wh: Array, b: Array, stateful: bool = False) -> None:
        H = Wh.shape[0]
        G = self.gates * H
        check_weights(type(self).__name__, Wh=(Wh, (H, G)), b=(b, (G,)))
        super().__init__(Wx, b, stateful)
        self.Wh, self.dWh = Wh, zeros((H, G), Wh)  # (H, G)
        self.params.insert(-1, Wh)
        self.grads.insert(-1, self.dWh)
        self.dropout: WeightDropout | None = None

    @classmethod
    def plan(cls, D: int, H: int) -> dict[str, Weight]:
        """Return Wx (D, G), Wh (H, G) and b (G,); the second gate, which keeps the state, begins open."""
        G = cls.gates * H
        keeps = np.repeat([0.0, 1.0, *[0.0] * (cls.gates - 2)], H) if cls.gates > 1 else 0.0  # (G,)
        of_input = {"Wx": Weight((D, G), D**-0.5)} if D else {}
        return {**of_input, "Wh": Weight((H, G), H**-0.5), "b": Weight((G,), start=keeps)}

    def begin(self, xs: Array) -> Array:
        """Take xs (N, T, D), which may be filled later; return hs (N, T, H), which `forward_steps` fills."""
        hs = super().begin(xs)
        self._operand_Wh = self._buffers.operand("Wh", self._dropped_Wh())
        self._product_Wh = self._packed(self._operand_Wh, "packed Wh")
        return hs

    def begin_backward(self, dhs: Array) -> Array:
        """Take dhs (N, T, H), which may be filled later; return dxs (N, T, D), which `backward_steps` fills."""
        self._WhT = self._packed(self._operand_Wh.T, "packed WhT")
        return super().begin_backward(dhs)

    def _packed(self, W: Array, name: str) -> Array:
        """Return a matrix as the loop over the steps takes it: one copy a block makes its products faster."""
        T, N, _ = self._zs.shape
        return kernels_for(W).packed(W, T, N, self._buffers, name)

    def _prepare_backward(self, T: int, N: int, H: int) -> Array:
        towards_x, self._towards_h = self._prepare_gradients(T, N, H)
        return towards_x

    @abstractmethod
    def _prepare_gradients(self, T: int, N: int, H: int) -> tuple[Array, Array]:
        """Make the arrays for the gradients of x_t·Wx + b and of h_{t-1}·Wh, (T, N, G) each, and return them."""

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return the functions to call after the steps; they do not depend on each other."""
        return [self._write_hidden_gradients, *super().weight_gradients()]

    def _write_hidden_gradients(self) -> None:
        namespace(self.Wh).matmul(as_rows(self._into_Wh()).T, as_rows(self._towards_h), out=self.dWh)
        if self._mask is not None:
            self.dWh *= self._mask

    def _into_Wh(self) -> Array:
        """Return what Wh was multiplied by in the last `forward`: h_{t-1}, (T, N, H)."""
        return self._hs[:-1]

    def _dropped_Wh(self) -> Array:
        """Return Wh∘mask (H, G) with a new mask; Wh itself if nothing is dropped."""
        self._mask = None if self.dropout is None else self.dropout.begin(like=self.Wh)
        if self._mask is None:
            return self.Wh
        dropped = self._buffers.get("dropped Wh", tuple(self.Wh.shape), self.Wh)
        namespace(self.Wh).multiply(self.Wh, self._mask, out=dropped)
        return dropped
