"""RWKV-7: a linear recurrence whose state is a matrix for each head, from which old values are removed by their keys.

    x_r … x_g = token shifts of the input                    f(x; A, B, c) = f(x·A)·B + c, with a low rank
    r, k, v = x_r·Wr, x_k·Wk, x_v·Wv                         w = exp(-e^{-½}·σ(tanh(x_w; w1, w2, w0)))
    a = σ(x_a; a1, a2, a0)                                   g = σ(x_g; g1, g2)
    v ← v + (v₁ - v)∘σ(x_v; v1, v2, v0), with v₁ of the first block, except in that block
    κ̂ = k∘k_k, divided by its norm in each head              k ← k∘(1 + (a - 1)∘k_a)

    S_t = S_{t-1}·diag(w) - (S_{t-1}·κ̂)(κ̂∘a)ᵀ + v·kᵀ         y = S_t·r, in each head

    out = ((group norm of y, a group a head) + (Σ r∘k∘r_k)·v)∘g·Wo

S (d, d) maps keys to values. Where κ̂ is a key, its old value is removed from S in the proportion a before v comes in.
Backward, with dS the gradient of S_t, to which dy·rᵀ is added, and the row vectors b = κ̂∘a and s = -S_{t-1}·κ̂:

    dr = S_tᵀ·dy        dv = dS·k        dk = dSᵀ·v        db = dSᵀ·s        ds = dS·b
    dw = Σ dS∘S_{t-1} over the rows      dκ̂ = -S_{t-1}ᵀ·ds, and db∘a          dS_{t-1} = dS·diag(w) - ds·κ̂ᵀ

The states of all steps would need T·N·D·d numbers. So they are kept for every `CHUNK`-th step, and those between are
computed again in the backward pass.

Every block but the first reads the values v₁ of the first one at the same step, and returns a gradient for them:
`connect` gives it the first block, whose ``values`` it reads, and to whose ``d_values`` it adds. So a block has one
input and one output like any other layer, and can be run span by span.

Source: B. Peng et al., "RWKV-7 'Goose' with expressive dynamic state evolution" (2025).
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from elman.arrays import Array, Buffers, as_rows, namespace, zeros
from elman.errors import ConfigError
from elman.layers.base import Weight
from elman.layers.kernels import kernels_for
from elman.layers.kernels.numpy import sigmoid, sigmoid_slope, tanh_slope
from elman.layers.layer_norm import TimeLayerNorm
from elman.layers.products import LowRank, add_product
from elman.layers.recurrent import StatefulLayer
from elman.layers.rwkv_block import TimeRWKVBlock, factor, norm_plan
from elman.layers.sizes import completed, head_width
from elman.layers.token_shift import TokenShift

CHUNK = 16  # steps from one kept state to the next
RATE = math.exp(-0.5)  # e^{-½}: w lies between exp(-RATE) = 0.545 and 1
GROUP_EPS = 64e-5
NORM_EPS = 1e-24  # under the root of the norm of κ
MIXES = ("x_r", "x_w", "x_k", "x_v", "x_a", "x_g")


class TimeMix7:
    """The time mix: xs -> ys, both time-major (T, N, D); see the module for the equations.

    The steps can be done in spans: see `elman.layers.recurrent`.
    """

    names_inside = ("r", "w", "k", "v", "a", "g")

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self.shift = TokenShift(*(weights[name] for name in MIXES))
        self.heads, self.d = weights["r_k"].shape
        self.matrices = {name: weights[name] for name in ("Wr", "Wk", "Wv", "Wo")}
        self.factors = {name: weights[name] for name in ("k_k", "k_a", "r_k")}
        self.decay = LowRank(weights["w1"], weights["w2"], weights["w0"], tanh, tanh_slope)
        self.rate = LowRank(weights["a1"], weights["a2"], weights["a0"])
        self.gate = LowRank(weights["g1"], weights["g2"], None, sigmoid, sigmoid_slope)
        self.blend = LowRank(weights["v1"], weights["v2"], weights["v0"]) if "v0" in weights else None
        self.norm = TimeLayerNorm(weights["group_gain"], weights["group_bias"], self.heads, GROUP_EPS)
        own = {**self.matrices, **self.factors}
        self.d_own = {name: zeros(tuple(W.shape), W) for name, W in own.items()}
        self._low_rank = [each for each in (self.decay, self.rate, self.gate, self.blend) if each is not None]
        parts: list[Any] = [self.shift, *self._low_rank, self.norm]
        self.params = [*own.values(), *(param for part in parts for param in part.params)]
        self.grads = [*self.d_own.values(), *(grad for part in parts for grad in part.grads)]
        self.first: TimeMix7 = self
        self._buffers = Buffers()

    @property
    def state_widths(self) -> dict[str, int]:
        """The width of the recurrence's state, all heads together."""
        return {"S": self.heads * self.d**2}

    @property
    def states(self) -> dict[str, Array]:
        """S (N, heads·d·d) after the steps that were done last."""
        return {"S": self._S.reshape(len(self._S), -1)}

    @property
    def flows(self) -> dict[str, Array]:
        """The gradient of S (N, heads·d·d) before the steps that were done last."""
        return {"S": self._dS.reshape(len(self._dS), -1)}

    @property
    def inside(self) -> dict[str, Array]:
        """The parts of the recurrence in the last `forward`: (T, N, D) each."""
        return {name: self._parts[name] for name in self.names_inside}

    def begin(self, T: int, N: int, carried: Mapping[str, Array | None]) -> tuple[Array, Array]:
        """Take the states of the block before; return xs (T, N, D), to be filled, and ys (T, N, D)."""
        xs = self.shift.begin(T, N, carried["x_att"])
        D, heads, d = xs.shape[2], self.heads, self.d
        names = (*self.names_inside, "k_before", "v_before", "kappa", "decay", "y", "added", "gated", "out")
        self._parts = {name: self._buffers.get(name, (T, N, D), xs) for name in names}
        self._norms = self._buffers.get("norms", (T, N, heads), xs)  # of κ
        self._bonus = self._buffers.get("bonus", (T, N, heads), xs)  # Σ r∘k∘r_k
        self.norm.begin(self._parts["y"], out=self._parts["added"])
        self._S = self._buffers.get("S", (N, heads, d, d), xs)
        before = carried["S"]
        self._S[...] = 0 if before is None else before.reshape(N, heads, d, d)
        self._kept = self._buffers.get("kept", (-(-T // CHUNK), N, heads, d, d), xs)
        for part in self._low_rank:
            part.begin(T, N)
        self.values = self._parts["v"]
        if self.blend is None:
            self.d_values = self._buffers.get("d_values", (T, N, D), xs)  # what the other blocks add
            self.d_values[...] = 0
        else:
            self._blends = self._buffers.get("blends", (T, N, D), xs)
        return xs, self._parts["out"]

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last."""
        xp, span = namespace(self._S), slice(first, last)
        part = {name: as_rows(values[span]) for name, values in self._parts.items()}  # (rows, D) each
        r, k, v, a, kappa = (part[name] for name in ("r", "k", "v", "a", "kappa"))
        self.shift.forward_steps(first, last)
        x_r, x_w, x_k, x_v, x_a, x_g = (as_rows(ys[span]) for ys in self.shift.ys)
        xp.matmul(x_r, self.matrices["Wr"], out=r)
        xp.matmul(x_k, self.matrices["Wk"], out=part["k_before"])
        xp.matmul(x_v, self.matrices["Wv"], out=part["v_before"])

        self.decay.forward(span, x_w, part["decay"])
        sigmoid(part["decay"], out=part["decay"])
        xp.multiply(part["decay"], -RATE, out=part["w"])
        xp.exp(part["w"], out=part["w"])
        self.rate.forward(span, x_a, a)
        sigmoid(a, out=a)
        self.gate.forward(span, x_g, part["g"])

        v[...] = part["v_before"]
        if self.blend is not None:
            blend = as_rows(self._blends[span])
            self.blend.forward(span, x_v, blend)
            sigmoid(blend, out=blend)
            v += (as_rows(self.first.values[span]) - v) * blend

        xp.multiply(part["k_before"], self.factors["k_k"], out=kappa)
        norms, grouped = self._of_heads(self._norms[span]), self._grouped(kappa)  # of each head
        norms[...] = ((grouped * grouped).sum(axis=2)[:, :, None] + NORM_EPS) ** 0.5
        grouped /= norms
        xp.multiply(self._reach(a), part["k_before"], out=k)

        kernels_for(self._S).rwkv7_forward(
            first, last, *self._of_recurrence(), self._S, self._kept, CHUNK, self._parts["y"]
        )
        self.norm.forward_steps(first, last)
        bonus = self._of_heads(self._bonus[span])
        bonus[...] = (self._grouped(r * k) * self.factors["r_k"]).sum(axis=2)[:, :, None]
        self._grouped(part["added"])[...] += bonus * self._grouped(v)
        xp.multiply(part["added"], part["g"], out=part["gated"])
        xp.matmul(part["gated"], self.matrices["Wo"], out=part["out"])

    def begin_backward(self, dys: Array) -> Array:
        """Take dys (T, N, D), which may be filled later; return dxs (T, N, D), which `backward_steps` fills."""
        self._dys = dys
        _, dxs = self.shift.begin_backward()
        names = ("r", "w", "k", "v", "kappa", "a", "added")
        self._d = {name: self._buffers.get(f"d {name}", tuple(dys.shape), self._S) for name in names}
        self._d_y = self.norm.begin_backward(self._d["added"])
        self._dS = self._buffers.get("dS", tuple(self._S.shape), self._S)
        self._dS[...] = 0
        for grad in self.d_own.values():
            grad[...] = 0
        for part in self._low_rank:
            part.begin_backward()
        return dxs

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first, and add to the gradients of the weights."""
        xp, span = namespace(self._S), slice(first, last)
        part = {name: as_rows(values[span]) for name, values in self._parts.items()}  # (rows, D) each
        d = {name: as_rows(values[span]) for name, values in self._d.items()}  # (rows, D) each
        x_r, x_w, x_k, x_v, x_a, x_g = (as_rows(ys[span]) for ys in self.shift.ys)
        dx_r, dx_w, dx_k, dx_v, dx_a, dx_g = (as_rows(dys[span]) for dys in self.shift.dys)
        r, k, v, a, kappa = (part[name] for name in ("r", "k", "v", "a", "kappa"))
        d_out, bonus = as_rows(self._dys[span]), self._of_heads(self._bonus[span])
        k_k, k_a, r_k = (self.factors[name] for name in ("k_k", "k_a", "r_k"))

        add_product(part["gated"].T, d_out, self.d_own["Wo"])
        d_gated = xp.matmul(d_out, self.matrices["Wo"].T)  # (rows, D)
        xp.multiply(d_gated, part["g"], out=d["added"])
        self.gate.backward(span, x_g, d_gated * part["added"], dx_g)
        self.norm.backward_steps(first, last)
        kernels_for(self._S).rwkv7_backward(
            first,
            last,
            *self._of_recurrence(),
            self._kept,
            CHUNK,
            self._d_y,
            self._dS,
            *(self._d[name] for name in ("r", "w", "k", "v", "kappa", "a")),
            self._buffers,
        )

        d_bonus = (self._grouped(d["added"]) * self._grouped(v)).sum(axis=2)[:, :, None]  # (rows, heads, 1)
        of_heads = self._grouped(r * k)
        self.d_own["r_k"] += (d_bonus * of_heads).sum(axis=0)
        by_key = d_bonus * r_k  # (rows, heads, d)
        self._grouped(d["r"])[...] += by_key * self._grouped(k)
        self._grouped(d["k"])[...] += by_key * self._grouped(r)
        self._grouped(d["v"])[...] += self._grouped(d["added"]) * bonus

        add_product(x_r.T, d["r"], self.d_own["Wr"])
        xp.matmul(d["r"], self.matrices["Wr"].T, out=dx_r)

        before = part["k_before"]
        d_towards = d["k"] * before  # the gradient of 1 + (a - 1)∘k_a
        self.d_own["k_a"] += (d_towards * (a - 1)).sum(axis=0)
        d["a"] += d_towards * k_a
        grouped, d_grouped = self._grouped(kappa), self._grouped(d["kappa"])
        d_grouped -= grouped * (grouped * d_grouped).sum(axis=2)[:, :, None]
        d_grouped /= self._of_heads(self._norms[span])
        self.d_own["k_k"] += (d["kappa"] * before).sum(axis=0)
        d["k"] *= self._reach(a)
        d["k"] += d["kappa"] * k_k
        add_product(x_k.T, d["k"], self.d_own["Wk"])
        xp.matmul(d["k"], self.matrices["Wk"].T, out=dx_k)

        d["a"] *= _slope(a)
        self.rate.backward(span, x_a, d["a"], dx_a)
        d["w"] *= part["w"]
        d["w"] *= -RATE
        d["w"] *= _slope(part["decay"])
        self.decay.backward(span, x_w, d["w"], dx_w)

        self._backward_values(span, x_v, d["v"], dx_v)
        self.shift.backward_steps(first, last)

    def _backward_values(self, span: slice, x_v: Array, dv: Array, dx_v: Array) -> None:
        """Write the gradient of x_v (rows, D) for that of the values, dv (rows, D), which is changed."""
        xp = namespace(dv)
        if self.blend is None:
            given = as_rows(self.d_values[span])
            dv += given
            given[...] = 0
        else:
            blend, before = as_rows(self._blends[span]), as_rows(self._parts["v_before"][span])
            to_first = dv * blend  # (rows, D)
            given = as_rows(self.first.d_values[span])
            given += to_first
            d_blend = dv * (as_rows(self.first.values[span]) - before)  # (rows, D)
            d_blend *= _slope(blend)
            dv -= to_first
            self.blend.backward(span, x_v, d_blend, dx_v)
        add_product(x_v.T, dv, self.d_own["Wv"])
        from_matrix = xp.matmul(dv, self.matrices["Wv"].T)  # (rows, D)
        if self.blend is None:
            dx_v[...] = from_matrix
        else:
            dx_v += from_matrix

    def _of_recurrence(self) -> list[Array]:
        """Return what the recurrence reads, (T, N, D) each."""
        return [self._parts[name] for name in ("r", "w", "k", "v", "kappa", "a")]

    def _reach(self, a: Array) -> Array:
        """Return 1 + (a - 1)∘k_a (rows, D)."""
        return (a - 1) * self.factors["k_a"] + 1

    def _grouped(self, rows: Array) -> Array:
        """Return rows (rows, D) as their (rows, heads, d) view."""
        return rows.reshape(rows.shape[0], self.heads, self.d)

    def _of_heads(self, values: Array) -> Array:
        """Return one number for each head, (T, N, heads), as the (rows, heads, 1) view."""
        return values.reshape(-1, self.heads, 1)


def tanh(z: Array, out: Array) -> None:
    """out = tanh(z)."""
    namespace(z).tanh(z, out=out)


def _slope(gate: Array) -> Array:
    """Return gate∘(1 - gate), of the shape of ``gate``."""
    slope = gate + 0
    sigmoid_slope(gate, out=slope)
    return slope


class TimeRWKV7(TimeRWKVBlock):
    """T steps of a block of RWKV-7: (N, T, D) -> (N, T, D), backward by truncated BPTT.

    The states are those of `TimeRWKVBlock` and S (N, heads·d·d), the matrices of all heads, row by row.
    """

    time_mix: TimeMix7

    recurrent_state = "S"

    @classmethod
    def _time_mix(cls, weights: Mapping[str, Array]) -> TimeMix7:
        return TimeMix7(weights)

    def connect(self, first: StatefulLayer) -> None:
        """Read the values of the first block of the model, and return a gradient for them."""
        assert isinstance(first, TimeRWKV7)
        self.time_mix.first = first.time_mix

    @classmethod
    def sizes_of(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
        """Return the width of a head, that of the channel mix, and the ranks of the low-rank parts."""
        sizes = {"head": shapes["r_k"][1], "ffn": shapes["ffn_Wk"][1]}
        return sizes | {f"rank_{part}": shapes[f"{part}1"][1] for part in "wavg" if f"{part}1" in shapes}

    @classmethod
    def plan(
        cls, D: int, H: int = 0, layers: int = 1, k: int = 0, sizes: Mapping[str, int] | None = None
    ) -> dict[str, Weight]:
        """Return the weights of block k of a model of ``layers`` blocks by name; H is not used.

        The vectors begin as in the authors' program, but for the group norm's gain, which begins as 1; the matrices are
        drawn, where it sets some to zero.

        Args:
            D: the width.
            layers, k: the number of blocks, and which one it is.
            sizes: ``head``, the width of a head (the largest divisor of D up to 64); ``ffn``, that of the channel mix
                (4·D); ``rank_w``, ``rank_a``, ``rank_v`` and ``rank_g``, the ranks of the low-rank parts.

        Raises:
            ConfigError: a size is unknown or below 1, or the width is no multiple of that of a head.
        """
        usual = {"head": head_width(D), "ffn": 4 * D}
        usual |= {f"rank_{part}": max(1, min(D, rank)) for part, rank in _usual_ranks(D).items()}
        sizes = completed(sizes, **usual)
        if D % sizes["head"]:
            raise ConfigError(
                f"heads of width {sizes['head']} do not fill a width of {D}, which is no multiple of it"
            )
        at, depth = k / max(1, layers - 1), 1 - k / layers  # 0 … 1 and 1 … 0 from the first block to the last
        columns = np.arange(D) / D
        fraction = np.arange(D) / max(1, D - 1)
        powers = {"x_r": 0.2, "x_w": 0.9, "x_k": 0.7, "x_v": 0.7, "x_a": 0.9, "x_g": 0.2}
        plan = norm_plan(D, "ln0") if k == 0 else {}
        plan |= norm_plan(D, "ln1")
        plan |= {name: factor(1 - columns ** (power * depth)) for name, power in powers.items()}
        plan |= {
            f"W{name}": Weight((D, D), scale * D**-0.5)
            for name, scale in (("r", 0.3), ("k", 0.03), ("v", 0.3))
        }
        added = 1 / math.sqrt(2 * layers)  # of the matrices whose products are added to the input
        plan["Wo"] = Weight((D, D), added * D**-0.5)
        starts = {"w": -6.5 + 5 * fraction ** (0.85 + at**0.5), "a": np.zeros(D), "v": np.ones(D)}
        for part in "wavg":
            if part == "v" and k == 0:
                continue
            rank = sizes[f"rank_{part}"]
            plan |= {f"{part}0": factor(starts[part])} if part in starts else {}
            plan[f"{part}1"] = Weight((D, rank), 0.1 * D**-0.5)
            plan[f"{part}2"] = Weight((rank, D), (1.0 if part == "g" else 0.1) * rank**-0.5)
        plan |= {"k_k": factor(np.full(D, 0.85)), "k_a": factor(np.ones(D))}
        plan["r_k"] = Weight((D // sizes["head"], sizes["head"]))
        plan |= norm_plan(D, "group")
        plan |= {**norm_plan(D, "ln2"), "ffn_k": factor(1 - columns ** (depth**4))}
        plan["ffn_Wk"] = Weight((D, sizes["ffn"]), D**-0.5)
        plan["ffn_Wv"] = Weight((sizes["ffn"], D), added * sizes["ffn"] ** -0.5)
        return {**plan, **norm_plan(D, "last")} if k == layers - 1 else plan


def _usual_ranks(D: int) -> dict[str, int]:
    """Return the ranks of the low-rank parts in the authors' program: multiples of 32 that grow with D."""
    return {
        "w": max(32, round(1.8 * D**0.5 / 32) * 32),
        "a": max(32, round(1.8 * D**0.5 / 32) * 32),
        "v": max(32, round(1.3 * D**0.5 / 32) * 32),
        "g": max(32, round(0.6 * D**0.8 / 32) * 32),
    }
