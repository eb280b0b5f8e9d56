"""Residual blocks: a recurrent layer that adds to its input, so that many of them can be trained on top of each other.

    n = RMSNorm(x)∘g             h = cell(n)           y = x + (h∘silu(n·Wg))·Wo            silu(u) = u∘σ(u)
    m = RMSNorm(y)∘g₂                                  y = y + ((m·W2)∘silu(m·W1))·W3

The second line, a gated MLP, is optional. Both lines are a `GatedBranch`: what is gated is the output of a cell, which
sees the past, in the first one, and the product m·W2 in the second one. Backward, with p = h∘silu(u) and u = n·Wg:

    dp = dy·Woᵀ      dh = dp∘silu(u)      du = dp∘h∘silu'(u)      silu'(u) = σ + u∘σ∘(1 - σ)
    dn = dh through the cell + du·Wgᵀ     dx = dy + dn through the norm

The gradient reaches every block unchanged through the sum y = x + …; this is why depth does not stop training. After
the last block of a model one more norm follows, because what was added up grows with the number of blocks. Dropout
sets a part of what a branch adds to zero, never a part of the sum.

Sources: K. He et al., "Identity mappings in deep residual networks", ECCV 2016; N. Shazeer, "GLU variants improve
transformer" (2020); the gated output of a recurrence: A. Gu and T. Dao, "Mamba" (2023).
"""

from collections.abc import Callable
from typing import Any

from elman.arrays import Array, Buffers, as_rows, batch_major, is_torch, namespace, time_major, zeros
from elman.errors import ShapeError
from elman.layers.base import Weight, check_gradient, check_sequence, check_weights
from elman.layers.dropout import TimeDropout, WeightDropout, dropouts_of
from elman.layers.kernels import kernels_for
from elman.layers.kernels.numpy import NORM_EPS
from elman.layers.norm import TimeRMSNorm
from elman.layers.recurrent import StatefulLayer, TimeRecurrence
from elman.one_line import layer_line

ROWS = 1024  # of all sequences, that go through a block together: their numbers stay in the cache
OF_CELL = "cell."  # prefix of the names of the cell's weights


class TimeProduct:
    """ys = xs·W without a bias: (N, T, D) -> (N, T, G), span by span."""

    def __init__(self, W: Array) -> None:
        self.params = [W]
        self.grads = [zeros(tuple(W.shape), W)]
        self._buffers = Buffers()

    def begin(self, xs: Array) -> Array:
        """Take xs (N, T, D), which may be filled later; return ys (N, T, G), which `forward_steps` fills."""
        (W,) = self.params
        self._xs, self._W = time_major(xs), self._buffers.operand("W", W)
        T, N, _ = self._xs.shape
        self._ys = self._buffers.get("ys", (T, N, W.shape[1]), W)
        return batch_major(self._ys)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last."""
        xs, ys = as_rows(self._xs[first:last]), as_rows(self._ys[first:last])
        namespace(ys).matmul(xs, self._W, out=ys)

    def end(self) -> None:
        """Do nothing: no state is carried to the next block."""
        return

    def begin_backward(self, dys: Array) -> Array:
        """Take dys (N, T, G), which may be filled later; return dxs (N, T, D), which `backward_steps` fills."""
        self._dys = time_major(dys)  # (T, N, G)
        self._dxs = self._buffers.get("dxs", tuple(self._xs.shape), self.params[0])
        return batch_major(self._dxs)

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first."""
        dys, dxs = as_rows(self._dys[first:last]), as_rows(self._dxs[first:last])
        namespace(dxs).matmul(dys, self._W.T, out=dxs)

    def end_backward(self) -> None:
        """Do nothing: no state came in from the block before."""
        return

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return the function to call after the steps."""
        return [self._write_gradient]

    def _write_gradient(self) -> None:
        namespace(self._W).matmul(as_rows(self._xs).T, as_rows(self._dys), out=self.grads[0])


class GatedBranch:
    """y = x + (f(n)∘silu(n·Wg))·Wo with n = RMSNorm(x)∘g: (N, T, D) -> (N, T, D).

    ``f`` is a recurrent layer or a `TimeProduct`, (N, T, D) -> (N, T, H). ``dropout``, if set, drops a part of
    what is added to x. With ``inner_gain`` (H,) what is multiplied by Wo is normalised before, in
    ``groups`` of columns. ``eps`` is that of the norms.
    """

    def __init__(
        self,
        gain: Array,
        f: Any,
        Wg: Array,
        Wo: Array,
        inner_gain: Array | None = None,
        eps: float = NORM_EPS,
        groups: int = 1,
    ) -> None:
        D, H = Wg.shape
        check_weights("GatedBranch", gain=(gain, (D,)), Wo=(Wo, (H, D)))
        self.norm, self.f, self.gate, self.out = TimeRMSNorm(gain, eps), f, TimeProduct(Wg), TimeProduct(Wo)
        self.inner_norm = None if inner_gain is None else TimeRMSNorm(inner_gain, eps, groups)
        if inner_gain is not None:
            check_weights("GatedBranch", inner_gain=(inner_gain, (H,)))
        self.dropout: TimeDropout | None = None
        after_gate = [] if self.inner_norm is None else [self.inner_norm]
        self._with_weights = (self.norm, self.f, self.gate, *after_gate, self.out)
        self.params = [param for part in self._with_weights for param in part.params]
        self.grads = [grad for part in self._with_weights for grad in part.grads]
        self._buffers = Buffers()

    def begin(self, xs: Array) -> Array:
        """Take xs (N, T, D), which may be filled later; return ys (N, T, D), which `forward_steps` fills."""
        ns = self.norm.begin(xs)
        self._hs, self._us = time_major(self.f.begin(ns)), time_major(self.gate.begin(ns))  # (T, N, H)
        self._sigmas = self._buffers.get("sigmas", tuple(self._us.shape), self._us)  # σ(u)
        self._ps = self._buffers.get("ps", tuple(self._us.shape), self._us)
        into_out = batch_major(self._ps)  # (N, T, H)
        if self.inner_norm is not None:
            into_out = self.inner_norm.begin(into_out)
        added = self.out.begin(into_out)  # (N, T, D)
        if self.dropout is not None:
            added = self.dropout.begin(added)
        self._xs, self._ys = time_major(xs), time_major(added)  # (T, N, D)
        return added

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: n, then h and u, then p = h∘silu(u), then y = x + p·Wo."""
        self.norm.forward_steps(first, last)
        self.f.forward_steps(first, last)
        self.gate.forward_steps(first, last)
        span = slice(first, last)
        kernels_for(self._us).gate(self._hs[span], self._us[span], self._sigmas[span], self._ps[span])
        if self.inner_norm is not None:
            self.inner_norm.forward_steps(first, last)
        self.out.forward_steps(first, last)
        if self.dropout is not None:
            self.dropout.forward_steps(first, last)
        self._ys[span] += self._xs[span]

    def end(self) -> None:
        """Keep the states for the next block."""
        self.f.end()

    def begin_backward(self, dys: Array) -> Array:
        """Take dys (N, T, D), which may be filled later; return dxs (N, T, D), which `backward_steps` fills."""
        of_added = dys if self.dropout is None else self.dropout.begin_backward(dys)  # (N, T, D)
        dps = self.out.begin_backward(of_added)  # (N, T, H), which turn into dhs
        if self.inner_norm is not None:
            dps = self.inner_norm.begin_backward(dps)
        self._dhs = time_major(dps)  # (T, N, H)
        self._dus = self._buffers.get("dus", tuple(self._us.shape), self._us)
        dns = self.f.begin_backward(dps)  # and what comes through the gate is added
        self._dns, self._dns_of_gate = map(
            time_major, (dns, self.gate.begin_backward(batch_major(self._dus)))
        )
        return self.norm.begin_backward(dns, besides=dys)

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: dp, then dh and du, then both parts of dn, then dx."""
        if self.dropout is not None:
            self.dropout.backward_steps(first, last)
        self.out.backward_steps(first, last)
        if self.inner_norm is not None:
            self.inner_norm.backward_steps(first, last)
        span = slice(first, last)
        kernels_for(self._us).gate_backward(
            self._dhs[span], self._hs[span], self._us[span], self._sigmas[span], self._dus[span]
        )
        self.f.backward_steps(first, last)
        self.gate.backward_steps(first, last)
        self._dns[span] += self._dns_of_gate[span]
        self.norm.backward_steps(first, last)

    def end_backward(self) -> None:
        """Keep the gradients of the incoming states."""
        self.f.end_backward()

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return the functions to call after the steps; they do not depend on each other."""
        return [write for part in self._with_weights for write in part.weight_gradients()]


class TimeResidualBlock(StatefulLayer):
    """xs (N, T, D) -> ys (N, T, D): a branch with a cell, and one with a gated MLP if its weights are given.

    Args:
        cell: the recurrent layer inside, (N, T, D) -> (N, T, H); the block is stateful if it is.
        gain, Wg, Wo: g (D,), (D, H) and (H, D).
        mlp_gain, W1, W2, W3: g₂ (D,), (D, M) twice and (M, D); all or none.
        last_gain: the gain (D,) of a norm after all, for the last block of a model.
        inner_gain: the gain (H,) of a norm before Wo, in ``groups`` of columns; none if it is not given.
        eps: ε of the norms.

    ``h`` is the output at the last step, of width D; the states of the cell are carried as ``cell_h`` and so on.

    Raises:
        ShapeError: the shapes of the weights do not go together.
    """

    is_block = True
    of_cell = "cell_"  # prefix of the names under which the states of the cell are carried

    def __init__(
        self,
        cell: Any,
        gain: Array,
        Wg: Array,
        Wo: Array,
        mlp_gain: Array | None = None,
        W1: Array | None = None,
        W2: Array | None = None,
        W3: Array | None = None,
        last_gain: Array | None = None,
        inner_gain: Array | None = None,
        eps: float = NORM_EPS,
        groups: int = 1,
    ) -> None:
        self.D, self.H = D, H = Wg.shape
        if (cell.D, cell.H) != (D, H):
            raise ShapeError(
                f"TimeResidualBlock: the cell must take {D} numbers and return {H}, as Wg (D, H) says; it takes "
                f"{cell.D} and returns {cell.H}"
            )
        self.cell, self.stateful = cell, cell.stateful
        self.parts: list[Any] = [GatedBranch(gain, cell, Wg, Wo, inner_gain, eps, groups)]
        if W1 is not None:
            self.parts.append(GatedBranch(mlp_gain, TimeProduct(W2), W1, W3))
        if last_gain is not None:
            self.parts.append(TimeRMSNorm(last_gain, eps))
        self.params = [param for part in self.parts for param in part.params]
        self.grads = [grad for part in self.parts for grad in part.grads]
        self._states = {f"{self.of_cell}{name}": name for name in cell.state_widths}  # the cell's own names
        self.reset_state()
        for name in self.state_widths:
            setattr(self, "d" + name, None)

    @classmethod
    def plan(
        cls, cell: type[TimeRecurrence], D: int, H: int, layers: int = 1, mlp: int = 0, last: bool = True
    ) -> dict[str, Weight]:
        """Return the weights of a block by the names of the constructor's arguments; those of the cell are "cell.…".

        Args:
            cell: the class of the cell.
            D, H: the widths of the block and of the cell.
            layers: the blocks of the model. What all of them add to x at first is scaled by 1/√(2·layers), so that
                it does not grow with their number (A. Radford et al., 2019).
            mlp: M, the width of the MLP; 0 for none.
            last: whether it is the last block.
        """
        depth = 2 * layers
        gain = Weight((D,), start=1.0, scalable=False)
        plan = {"gain": gain, **{OF_CELL + name: weight for name, weight in cell.plan(D, H).items()}}
        plan |= {"Wg": Weight((D, H), D**-0.5), "Wo": Weight((H, D), (depth * H) ** -0.5)}
        if mlp:
            plan |= {"mlp_gain": gain, "W1": Weight((D, mlp), D**-0.5), "W2": Weight((D, mlp), D**-0.5)}
            plan["W3"] = Weight((mlp, D), (depth * mlp) ** -0.5)
        return {**plan, "last_gain": gain} if last else plan

    def __repr__(self) -> str:
        return layer_line(self, self.D, self.D, repr(self.cell))

    @property
    def state_widths(self) -> dict[str, int]:
        """The width of each carried state by its name: D for h, and those of the cell."""
        of_cell = self.cell.state_widths
        return {"h": self.D, **{name: of_cell[own] for name, own in self._states.items()}}

    @property
    def recurrence(self) -> Any:
        """The cell."""
        return self.cell

    @property
    def branches(self) -> list[GatedBranch]:
        """The branch with the cell, and that with the MLP if there is one."""
        return [part for part in self.parts if isinstance(part, GatedBranch)]

    @property
    def dropouts(self) -> list[TimeDropout | WeightDropout]:
        """What is dropped of the cell's Wh and of what the branches add, in the order in which `begin` draws."""
        return [
            *dropouts_of(self.cell),
            *(part.dropout for part in self.branches if part.dropout is not None),
        ]

    def names_inside(self) -> tuple[str, ...]:
        """Return the names of what `inside` has: h, the states of the cell as they are carried, and its gates."""
        carried = {own: name for name, own in self._states.items()}
        return ("h", *(carried.get(name, name) for name in self.cell.names_inside()))

    @property
    def inside(self) -> dict[str, Array]:
        """The output h (N, T, D) of the last `forward`, and the states ``cell_…`` and gates of the cell (N, T, H)."""
        return dict(zip(self.names_inside(), (self._ys, *self.cell.inside.values()), strict=True))

    def begin(self, xs: Array) -> Array:
        """Take xs (N, T, D), which may be filled later; return ys (N, T, D), which `forward_steps` fills."""
        check_sequence("xs", xs, self.D)
        for name, own in self._states.items():
            setattr(self.cell, own, getattr(self, name))
        for part in self.parts:
            xs = part.begin(xs)
        self._ys = xs
        return xs

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: one span after another, each through all parts."""
        for span in self._spans(first, last):
            for part in self.parts:
                part.forward_steps(*span)

    def end(self) -> None:
        """Keep a copy of the last state for the next block: the buffers will be overwritten."""
        for part in self.parts:
            part.end()
        self.h = self._ys[:, -1] + 0
        for name, own in self._states.items():
            setattr(self, name, getattr(self.cell, own))

    def begin_backward(self, dhs: Array) -> Array:
        """Take dhs (N, T, D), which may be filled later; return dxs (N, T, D), which `backward_steps` fills."""
        check_gradient(dhs, tuple(self._ys.shape))
        for part in reversed(self.parts):
            dhs = part.begin_backward(dhs)
        return dhs

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: one span after another, each through all parts."""
        for span in reversed(self._spans(first, last)):
            for part in reversed(self.parts):
                part.backward_steps(*span)

    def end_backward(self) -> None:
        """Keep copies of the gradients of the incoming state; no step reads the incoming h."""
        for part in self.parts:
            part.end_backward()
        self.dh = zeros((self._ys.shape[0], self.D), self._ys)
        for name, own in self._states.items():
            setattr(self, "d" + name, getattr(self.cell, "d" + own))

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return the functions to call after the steps; they do not depend on each other."""
        return [write for part in self.parts for write in part.weight_gradients()]

    def _spans(self, first: int, last: int) -> list[tuple[int, int]]:
        """Cut these steps into spans of about `ROWS` rows. Tensors are not cut: a GPU wants few calls."""
        steps = max(1, last - first if is_torch(self._ys) else ROWS // self._ys.shape[0])
        return [(t, min(t + steps, last)) for t in range(first, last, steps)]
