"""Simple recurrent unit (SRU): gates that see one number of the state, their unit's own, and a highway for the input.

    f = σ(x_t·Wf + vf∘c_{t-1} + b_f)          c_t = f∘c_{t-1} + (1 - f)∘u          u = x_t·Wu + b_u
    r = σ(x_t·Wr + vr∘c_{t-1} + b_r)          h_t = r∘tanh(c_t) + (1 - r)∘p

    dz_r = dh_t∘(tanh(c_t) - p)∘r∘(1 - r)     dp = dh_t∘(1 - r)
    dz_f = δ_t∘s          s = (c_{t-1} - u)∘f∘(1 - f)          du = δ_t∘(1 - f)
    δ_t = dh_t∘r∘(1 - tanh(c_t)²) + dz_r,t+1∘vr + (f + s∘vf)_{t+1}∘δ_{t+1}

f depends on c_{t-1}, so the states are not a linear recurrence. No product stands in the loop all the same, and their
gradients δ_t are a linear recurrence.
p is α·x_t where D = H, α = √(1 + 2·exp(b_r)) for the b_r at the beginning, 0: it keeps the variance from layer to
layer. Elsewhere p is a product of its own, x_t·Wp + b_p, as in the authors' code.
The columns of Wx and b hold f, r, u (and p), each H wide; v (2H,) holds vf and vr, which begin with 0.

Source: T. Lei et al., "Simple recurrent units for highly parallelizable recurrence", EMNLP 2018.
"""

from elman.arrays import Array, namespace
from elman.layers.diagonal import one_minus, sigmoid, sigmoid_slope, tanh_slope
from elman.layers.direct import TimeDirectRecurrence
from elman.layers.kernels import kernels_for

ALPHA = 3.0**0.5


class TimeSRU(TimeDirectRecurrence):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``Wx=None``, and h and c with their gradients are as in TimeLSTM.
    """

    gates = 3
    states = ("h", "c")
    gate_names = ("f", "r")
    keeps = (1.0, 0.0, 0.0)
    recurrent_state = "c"
    vector_name = "v"
    vector_size = 2

    def __init__(self, Wx: Array | None, v: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, v, b, stateful)

    def _prepare(self, T: int, N: int, H: int) -> None:
        super()._prepare(T, N, H)
        self._tanh_cs = self._buffers.get("tanh_cs", (T, N, H), self.b)

    def coefficients(self, span: slice) -> None:
        """Nothing to do: the gate f of a step needs the state before it."""

    def recur(self, span: slice) -> None:
        """Write f and c of these steps."""
        kernels_for(self.b).sru_scan(span.start, span.stop, self._zs, self.vector, self._gates, self._states)

    def output(self, span: slice) -> None:
        """Write r and h = r∘(tanh(c) - p) + p."""
        xp, H, h, y = namespace(self.b), self.H, self._hs[1:][span], self._tanh_cs[span]
        r, p = self.gate(self._gates[span], 1), self._b[span]
        xp.multiply(self._states[span], self.vector[H:], out=r)
        xp.add(r, self.gate(self._zs[span], 1), out=r)
        sigmoid(r, out=r)
        xp.tanh(self._states[1:][span], out=y)
        xp.multiply(self.direct(span), ALPHA if self.takes_x else 1.0, out=p)
        xp.subtract(y, p, out=h)
        xp.multiply(h, r, out=h)
        xp.add(h, p, out=h)

    def output_gradients(self, span: slice) -> None:
        """Write dz_r, dp, the a of δ's recurrence, and dδ but for the part of step ``span.stop``."""
        xp, H, dh, y = namespace(self.b), self.H, self._dhs[span], self._tanh_cs[span]
        f, r = (self.gate(self._gates[span], k) for k in (0, 1))
        df, dr = (self.gate(self._dzs[span], k) for k in (0, 1))
        p, delta, a, dp = self._b[span], self._deltas[span], self._a[span], self._d_direct[span]
        xp.subtract(y, p, out=p)
        sigmoid_slope(r, out=dr)
        xp.multiply(dr, p, out=dr)
        xp.multiply(dr, dh, out=dr)
        one_minus(r, out=dp)
        xp.multiply(dp, dh, out=dp)
        tanh_slope(y, out=delta)
        xp.multiply(delta, r, out=delta)
        xp.multiply(delta, dh, out=delta)
        xp.multiply(dr, self.vector[H:], out=p)
        delta[:-1] += p[1:]
        sigmoid_slope(f, out=df)
        xp.subtract(self._states[span], self.gate(self._zs[span], 2), out=a)
        xp.multiply(df, a, out=df)  # s
        xp.multiply(df, self.vector[:H], out=a)
        xp.add(a, f, out=a)

    def product_gradients(self, span: slice) -> None:
        """Write dz_f and du, and add to dv."""
        xp, H, dzs, delta, work = (
            namespace(self.b),
            self.H,
            self._dzs[span],
            self._deltas[span],
            self._a[span],
        )
        df, dr, du = (self.gate(dzs, k) for k in range(3))
        self._flowing["c"] += self._b[span][0]  # dz_r∘vr of the first step
        xp.multiply(df, delta, out=df)
        one_minus(self.gate(self._gates[span], 0), out=du)
        xp.multiply(du, delta, out=du)
        if self.takes_x:
            self._d_direct[span] *= ALPHA
        for k, d in enumerate((df, dr)):
            xp.multiply(d, self._states[span], out=work)
            self.d_vector[k * H : (k + 1) * H] += work.sum((0, 1))
