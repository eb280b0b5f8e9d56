"""RWKV-4: a weighted mean of all values so far, in which every column forgets at a rate of its own.

    r, k, v = x_r·Wr, x_k·Wk, x_v·Wv, of three token shifts of the input        λ = exp(decay), a rate per step
    y_t = (A_{t-1} + e^{u + k_t}∘v_t) / (B_{t-1} + e^{u + k_t})                 out = (σ(r)∘y)·Wo
    A_t = e^{-λ}∘A_{t-1} + e^{k_t}∘v_t              B_t = e^{-λ}∘B_{t-1} + e^{k_t}

The weight of a value is e^k, times e^{-λ} for every step after the next one; at its own step it is e^{u + k}.
A and B leave the range of floating-point numbers easily. So they are kept as A = a·e^p and B = b·e^p, where p is the
largest exponent so far; with b = 0, as at the beginning, p is taken as -∞. Backward, with the denominator divided by
e^q, d = b·e^{p - q} + e^{u + k - q}, and da, db the gradients of A and B times e^p:

    dv = dy/d∘e^{u + k - q}       du = dk = dv∘(v - y)       da = dy/d∘e^{p - q}       db = -da∘y

and what comes from step t + 1 through A_t and B_t: with f = e^{p_{t-1} - λ - p_t} and g = e^{k_t - p_t},

    da ← da + da_t∘f        db ← db + db_t∘f        dv ← dv + da_t∘g        dk ← dk + (da_t∘v + db_t)∘g
    dλ = -Σ (da_t∘a + db_t∘b)∘f over the steps       d decay = dλ∘λ

Source: B. Peng et al., "RWKV: reinventing RNNs for the transformer era" (2023).
"""

import math
from collections.abc import Mapping

import numpy as np

from elman.arrays import Array, Buffers, as_rows, namespace, zeros
from elman.layers.base import Weight
from elman.layers.kernels import kernels_for
from elman.layers.kernels.numpy import sigmoid, sigmoid_slope
from elman.layers.products import add_product
from elman.layers.rwkv_block import TimeRWKVBlock, factor, norm_plan
from elman.layers.sizes import completed
from elman.layers.token_shift import TokenShift

STATES = ("numerator", "denominator", "exponent")  # a, b and p


class TimeMix4:
    """The time mix: xs -> ys, both time-major (T, N, D); see the module for the equations.

    The steps can be done in spans: see `elman.layers.recurrent`.
    """

    names_inside = ("r", "k", "v", "y")

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self.shift = TokenShift(*(weights[name] for name in ("x_r", "x_k", "x_v")))
        self.own = {name: weights[name] for name in ("Wr", "Wk", "Wv", "Wo", "decay", "first")}
        self.d_own = {name: zeros(tuple(W.shape), W) for name, W in self.own.items()}
        self.params = [*self.shift.params, *self.own.values()]
        self.grads = [*self.shift.grads, *self.d_own.values()]
        self.D = len(weights["decay"])
        self._buffers = Buffers()

    @property
    def state_widths(self) -> dict[str, int]:
        """The width of each state of the recurrence."""
        return dict.fromkeys(STATES, self.D)

    @property
    def states(self) -> dict[str, Array]:
        """The states (N, D) after the last step."""
        return {name: history[-1] for name, history in self._histories.items()}

    @property
    def flows(self) -> dict[str, Array]:
        """The gradients of the states (N, D) before the first step."""
        a, b = (self._histories[name][0] for name in STATES[:2])
        da, db = self._flow
        return {"numerator": da, "denominator": db, "exponent": da * a + db * b}

    @property
    def inside(self) -> dict[str, Array]:
        """The parts of the recurrence in the last `forward`: (T, N, D) each."""
        return {name: self._parts[name] for name in self.names_inside}

    def begin(self, T: int, N: int, carried: Mapping[str, Array | None]) -> tuple[Array, Array]:
        """Take the states of the block before; return xs (T, N, D), to be filled, and ys (T, N, D)."""
        xs = self.shift.begin(T, N, carried["x_att"])
        D = xs.shape[2]
        names = (*self.names_inside, "gated", "out")
        self._parts = {name: self._buffers.get(name, (T, N, D), xs) for name in names}
        self._histories = {name: self._buffers.get(name, (T + 1, N, D), xs) for name in STATES}
        for name, history in self._histories.items():
            before = carried[name]
            history[0] = 0 if before is None else before
        self._rate = namespace(xs).exp(self.own["decay"])  # λ (D,)
        return xs, self._parts["out"]

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last."""
        xp, span = namespace(self._rate), slice(first, last)
        part = {name: as_rows(values[span]) for name, values in self._parts.items()}  # (rows, D) each
        self.shift.forward_steps(first, last)
        for name, ys in zip("rkv", self.shift.ys, strict=True):
            xp.matmul(as_rows(ys[span]), self.own[f"W{name}"], out=part[name])
        sigmoid(part["r"], out=part["r"])
        kernels_for(self._rate).rwkv4_forward(
            first,
            last,
            *(self._parts[name] for name in "kv"),
            self._rate,
            self.own["first"],
            *self._histories.values(),
            self._parts["y"],
        )
        xp.multiply(part["r"], part["y"], out=part["gated"])
        xp.matmul(part["gated"], self.own["Wo"], out=part["out"])

    def begin_backward(self, dys: Array) -> Array:
        """Take dys (T, N, D), which may be filled later; return dxs (T, N, D), which `backward_steps` fills."""
        self._dys = dys
        _, dxs = self.shift.begin_backward()
        self._d = {name: self._buffers.get(f"d {name}", tuple(dys.shape), dys) for name in ("k", "v", "y")}
        self._flow = self._buffers.get("flow", (2, *dys.shape[1:]), dys)  # of a and b
        self._flow[...] = 0
        for grad in self.d_own.values():
            grad[...] = 0
        return dxs

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first, and add to the gradients of the weights."""
        xp, span = namespace(self._rate), slice(first, last)
        part = {name: as_rows(values[span]) for name, values in self._parts.items()}  # (rows, D) each
        d_out, d_y = as_rows(self._dys[span]), as_rows(self._d["y"][span])
        add_product(part["gated"].T, d_out, self.d_own["Wo"])
        d_gated = xp.matmul(d_out, self.own["Wo"].T)  # (rows, D)
        xp.multiply(d_gated, part["r"], out=d_y)
        d_r = part["r"] + 0  # (rows, D)
        sigmoid_slope(part["r"], out=d_r)
        d_r *= d_gated
        d_r *= part["y"]

        d_rate = zeros((self.D,), self._rate)
        kernels_for(self._rate).rwkv4_backward(
            first,
            last,
            *(self._parts[name] for name in "kv"),
            self._rate,
            self.own["first"],
            *self._histories.values(),
            self._parts["y"],
            self._d["y"],
            self._flow,
            *(self._d[name] for name in "kv"),
            d_rate,
            self.d_own["first"],
        )
        d_rate *= self._rate
        self.d_own["decay"] += d_rate
        of_products = {"r": d_r, **{name: as_rows(self._d[name][span]) for name in "kv"}}
        for (name, d), ys, dys in zip(of_products.items(), self.shift.ys, self.shift.dys, strict=True):
            add_product(as_rows(ys[span]).T, d, self.d_own[f"W{name}"])
            xp.matmul(d, self.own[f"W{name}"].T, out=as_rows(dys[span]))
        self.shift.backward_steps(first, last)


class TimeRWKV4(TimeRWKVBlock):
    """T steps of a block of RWKV-4: (N, T, D) -> (N, T, D), backward by truncated BPTT.

    The states are those of `TimeRWKVBlock`, and ``numerator``, ``denominator`` and ``exponent``: a, b and p (N, D).
    """

    time_mix: TimeMix4

    recurrent_state = "numerator"

    @classmethod
    def _time_mix(cls, weights: Mapping[str, Array]) -> TimeMix4:
        return TimeMix4(weights)

    @classmethod
    def sizes_of(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
        """Return the width of the channel mix."""
        return {"ffn": shapes["ffn_Wk"][1]}

    @classmethod
    def plan(
        cls, D: int, H: int = 0, layers: int = 1, k: int = 0, sizes: Mapping[str, int] | None = None
    ) -> dict[str, Weight]:
        """Return the weights of block k of a model of ``layers`` blocks by name; H is not used.

        The vectors begin as in the authors' program; the matrices are drawn, where it sets some to zero.

        Args:
            D: the width.
            layers, k: the number of blocks, and which one it is.
            sizes: ``ffn``, the width of the channel mix (4·D).
        """
        ffn = completed(sizes, ffn=4 * D)["ffn"]
        at, depth = k / max(1, layers - 1), 1 - k / layers  # 0 … 1 and 1 … 0 from the first block to the last
        columns, fraction = np.arange(D) / D, np.arange(D) / max(1, D - 1)
        own_part = columns**depth  # of the step itself in a shift
        plan = norm_plan(D, "ln0") if k == 0 else {}
        plan |= {
            **norm_plan(D, "ln1"),
            "x_r": factor(1 - columns ** (depth / 2)),
            "x_k": factor(1 - own_part),
        }
        plan["x_v"] = factor(1 - own_part - 0.3 * at)
        plan |= {name: Weight((D, D), D**-0.5) for name in ("Wr", "Wk", "Wv")}
        added = 1 / math.sqrt(2 * layers)  # of the matrices whose products are added to the input
        plan["Wo"] = Weight((D, D), added * D**-0.5)
        plan["decay"] = factor(-5 + 8 * fraction ** (0.7 + 1.3 * at))
        plan["first"] = factor(math.log(0.3) + 0.5 * ((np.arange(D) + 1) % 3 - 1))
        plan |= {**norm_plan(D, "ln2"), "ffn_k": factor(1 - own_part), "ffn_r": factor(1 - own_part)}
        plan |= {"ffn_Wk": Weight((D, ffn), D**-0.5), "ffn_Wv": Weight((ffn, D), added * ffn**-0.5)}
        plan["ffn_Wr"] = Weight((D, D), D**-0.5)
        return {**plan, **norm_plan(D, "last")} if k == layers - 1 else plan
