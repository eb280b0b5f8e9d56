"""What the blocks of all RWKV versions share: two branches that are added to the input, with layer norms between.

    x = LN₀(x), in the first block only
    y = x + time mix(LN₁(x))          the recurrence, over time
    z = y + channel mix(LN₂(y))       an MLP, over the columns
    z = LN(z), in the last block only

Both mixes begin with a token shift, so that the last input of each is carried from block to block beside the states
of the recurrence. A version of RWKV defines the time mix and its plan; see `elman.layers.rwkv7`.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from elman.arrays import Array, Buffers, batch_major, is_torch, time_major, zeros
from elman.errors import ShapeError
from elman.layers.base import Weight, check_gradient, check_sequence, check_state
from elman.layers.channel_mix import ChannelMix
from elman.layers.layer_norm import TimeLayerNorm
from elman.layers.recurrent import StatefulLayer
from elman.one_line import layer_line

ROWS = 1024  # of all sequences, that go through a block together: enough for fast products


class TimeRWKVBlock(StatefulLayer):
    """T steps of a whole block, time mix and channel mix: (N, T, D) -> (N, T, D), backward by truncated BPTT.

    Args:
        stateful: whether the states are carried from block to block.
        weights: the weights by name, as ``plan`` gives them. The first block of a model is the one with ``ln0_gain``,
            the last one that with ``last_gain``.

    ``h`` is the output at the last step. ``x_att`` and ``x_ffn`` (N, D) are the last inputs of the two mixes; the other
    states are those of the time mix.

    Raises:
        ShapeError: a weight is missing, unknown, or of a shape that does not go with the others.
    """

    is_block: ClassVar[bool] = True
    recurrent_state: ClassVar[str]

    def __init__(self, stateful: bool = False, **weights: Array) -> None:
        self._check(weights)
        self.weights, self.stateful = weights, stateful
        self.D = len(weights["ln1_gain"])
        self.norms = {
            name: TimeLayerNorm(weights[f"{name}_gain"], weights[f"{name}_bias"])
            for name in ("ln0", "ln1", "ln2", "last")
            if f"{name}_gain" in weights
        }
        self.time_mix = self._time_mix(weights)
        self.channel_mix = ChannelMix(
            weights["ffn_k"],
            weights["ffn_Wk"],
            weights["ffn_Wv"],
            weights.get("ffn_r"),
            weights.get("ffn_Wr"),
        )
        parts: list[Any] = [*self.norms.values(), self.time_mix, self.channel_mix]
        grads = {
            id(param): grad for part in parts for param, grad in zip(part.params, part.grads, strict=True)
        }
        self.params = list(weights.values())
        self.grads = [grads[id(param)] for param in self.params]
        self._buffers = Buffers()
        self.reset_state()
        for name in self.state_widths:
            setattr(self, "d" + name, None)

    @classmethod
    @abstractmethod
    def plan(
        cls, D: int, H: int = 0, layers: int = 1, k: int = 0, sizes: Mapping[str, int] | None = None
    ) -> dict[str, Weight]:
        """Return the weights of block k of a model of ``layers`` blocks by name; H is not used.

        ``sizes`` are the widths that do not follow from D, see `sizes_of`; those left out have the usual value.
        """

    @classmethod
    def hidden_size(cls, D: int, H: int) -> int:
        """Return D: a block is as wide as its input."""
        return D

    @classmethod
    @abstractmethod
    def sizes_of(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
        """Return the ``sizes`` of the plan to which weights of these shapes belong."""

    @classmethod
    @abstractmethod
    def _time_mix(cls, weights: Mapping[str, Array]) -> Any:
        """Return the time mix with these weights."""

    def __repr__(self) -> str:
        return layer_line(self, self.D, self.D)

    @property
    def state_widths(self) -> dict[str, int]:
        """The width of each carried state by its name."""
        return {"h": self.D, "x_att": self.D, "x_ffn": self.D, **self.time_mix.state_widths}

    @property
    def recurrence(self) -> "TimeRWKVBlock":
        """This layer: its recurrence, which reads and is read by the two mixes, could not stand alone."""
        return self

    @property
    def dhs(self) -> Array:
        """The gradient (N, T, D) that the output received from above in the last `backward`."""
        return self._dhs

    def names_inside(self) -> tuple[str, ...]:
        """Return the names of what `inside` has: h, then the parts of the time mix."""
        return ("h", *self.time_mix.names_inside)

    @property
    def inside(self) -> dict[str, Array]:
        """The output h of the last `forward` and the parts of the time mix: (N, T, D) each."""
        found = {"h": self._hs, **self.time_mix.inside}
        return {name: batch_major(values) for name, values in found.items()}

    def begin(self, xs: Array) -> Array:
        """Take xs (N, T, D), which may be filled later; return hs (N, T, D), which `forward_steps` fills."""
        check_sequence("xs", xs, self.D)
        N, T, D = xs.shape
        carried = {name: state if self.stateful else None for name, state in self.carried().items()}
        for name, width in self.state_widths.items():
            if carried[name] is not None:
                check_state(name, carried[name], N, width)
        like = self.params[0]
        self._xs = time_major(xs)  # (T, N, D)
        if "ln0" in self.norms:
            self._xs = self.norms["ln0"].begin(self._xs)
        att, self._att_out = self.time_mix.begin(T, N, carried)
        self.norms["ln1"].begin(self._xs, out=att)
        self._middle = self._buffers.get("middle", (T, N, D), like)
        ffn, self._ffn_out = self.channel_mix.begin(T, N, carried["x_ffn"])
        self.norms["ln2"].begin(self._middle, out=ffn)
        self._sum = self._buffers.get("sum", (T, N, D), like)
        self._hs = self.norms["last"].begin(self._sum) if "last" in self.norms else self._sum
        return batch_major(self._hs)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: one span after another, each through all parts."""
        for span in self._spans(first, last):
            steps = slice(*span)
            if "ln0" in self.norms:
                self.norms["ln0"].forward_steps(*span)
            self.norms["ln1"].forward_steps(*span)
            self.time_mix.forward_steps(*span)
            self._middle[steps] = self._xs[steps]
            self._middle[steps] += self._att_out[steps]
            self.norms["ln2"].forward_steps(*span)
            self.channel_mix.forward_steps(*span)
            self._sum[steps] = self._middle[steps]
            self._sum[steps] += self._ffn_out[steps]
            if "last" in self.norms:
                self.norms["last"].forward_steps(*span)

    def end(self) -> None:
        """Keep a copy of the last state for the next block: the buffers will be overwritten."""
        if not len(self._hs):  # no step was done
            return
        self.h = self._hs[-1] + 0
        self.x_att = self.time_mix.shift.last + 0
        self.x_ffn = self.channel_mix.shift.last + 0
        for name, state in self.time_mix.states.items():
            setattr(self, name, state + 0)

    def begin_backward(self, dhs: Array) -> Array:
        """Take dhs (N, T, D), which may be filled later; return dxs (N, T, D), which `backward_steps` fills."""
        T, N, D = self._hs.shape
        check_gradient(dhs, (N, T, D))
        self._dhs = dhs
        d_sum = time_major(dhs)  # (T, N, D)
        if "last" in self.norms:
            d_sum = self.norms["last"].begin_backward(d_sum)
        d_middle = self.norms["ln2"].begin_backward(self.channel_mix.begin_backward(d_sum), besides=d_sum)
        dxs = self.norms["ln1"].begin_backward(self.time_mix.begin_backward(d_middle), besides=d_middle)
        if "ln0" in self.norms:
            dxs = self.norms["ln0"].begin_backward(dxs)
        return batch_major(dxs)

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: one span after another, each through all parts."""
        parts = [
            self.norms.get("last"),
            self.channel_mix,
            self.norms["ln2"],
            self.time_mix,
            self.norms["ln1"],
        ]
        parts.append(self.norms.get("ln0"))
        for span in reversed(self._spans(first, last)):
            for part in parts:
                if part is not None:
                    part.backward_steps(*span)

    def end_backward(self) -> None:
        """Keep copies of the gradients of the incoming state; no step reads the incoming h."""
        self.dh = zeros(tuple(self._hs.shape[1:]), self._hs)
        self.dx_att = self.time_mix.shift.flow + 0
        self.dx_ffn = self.channel_mix.shift.flow + 0
        for name, flow in self.time_mix.flows.items():
            setattr(self, "d" + name, flow + 0)

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return nothing to do: the steps have added up the gradients."""
        return []

    def _spans(self, first: int, last: int) -> list[tuple[int, int]]:
        """Cut these steps into spans of about `ROWS` rows. Tensors are not cut: a GPU wants few calls."""
        steps = max(1, last - first if is_torch(self._hs) else ROWS // self._hs.shape[1])
        return [(t, min(t + steps, last)) for t in range(first, last, steps)]

    def _check(self, weights: Mapping[str, Array]) -> None:
        """Raise ShapeError unless the weights are those of a plan."""
        name = type(self).__name__
        try:
            D = len(weights["ln1_gain"])
            sizes = self.sizes_of({key: tuple(weight.shape) for key, weight in weights.items()})
        except KeyError as error:
            raise ShapeError(f"{name}: the weight {error.args[0]} is missing") from None
        layers, k = 1 + ("ln0_gain" not in weights), int("ln0_gain" not in weights)
        layers += "last_gain" not in weights
        planned = self.plan(D, D, layers, k, sizes)
        for missing in planned.keys() - weights.keys():
            raise ShapeError(f"{name}: the weight {missing} is missing")
        for unknown in weights.keys() - planned.keys():
            raise ShapeError(f"{name}: there is no weight {unknown} in this block")
        for key, weight in planned.items():
            if tuple(weights[key].shape) != weight.shape:
                raise ShapeError(f"{name}: {key} must be {weight.shape}, got {tuple(weights[key].shape)}")


def norm_plan(D: int, name: str) -> dict[str, Weight]:
    """Return the gain and the bias of a layer norm."""
    return {
        f"{name}_gain": Weight((D,), start=1.0, scalable=False),
        f"{name}_bias": Weight((D,)),
    }


def factor(values: Any) -> Weight:
    """Return the plan of a vector that begins as ``values`` whatever the scale of the drawn weights."""
    values = np.asarray(values, np.float64)
    return Weight(values.shape, start=values, scalable=False)
