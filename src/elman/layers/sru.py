"""Simple recurrent unit (SRU): gates that see one number of the state, their unit's own, and a highway for the input.

    f = σ(x_t·Wf + vf∘c_{t-1} + b_f)          c_t = f∘c_{t-1} + (1 - f)∘u          u = x_t·Wu + b_u
    r = σ(x_t·Wr + vr∘c_{t-1} + b_r)          h_t = r∘tanh(c_t) + (1 - r)∘p

    dz_r = dh_t∘(tanh(c_t) - p)∘r∘(1 - r)     dp = dh_t∘(1 - r)
    dz_f = δ_t∘s          s = (c_{t-1} - u)∘f∘(1 - f)          du = δ_t∘(1 - f)
    δ_t = dh_t∘r∘(1 - tanh(c_t)²) + dz_r,t+1∘vr + (f + s∘vf)_{t+1}∘δ_{t+1}

f depends on c_{t-1}, so c_t is not a linear recurrence, and its loop is a kernel of its own. But no matrix stands in
it, and the gradients δ_t of c_t are a linear recurrence.
p is α·x_t where D = H, α = √(1 + 2·exp(b_r)) for the b_r at the beginning, 0: it keeps the variance from layer to
layer. Elsewhere p is a product of its own, x_t·Wp + b_p, as in the authors' code.
The columns of Wx and b hold f, r, u (and p), each H wide; v (2H,) holds vf and vr, which begin with 0.

Source: T. Lei et al., "Simple recurrent units for highly parallelizable recurrence", EMNLP 2018.
"""

from elman.arrays import Array, namespace
from elman.layers.direct import TimeDirectRecurrence
from elman.layers.kernels import kernels_for
from elman.layers.kernels.numpy import one_minus, sigmoid, sigmoid_slope, tanh_slope

ALPHA = 3.0**0.5


class TimeSRU(TimeDirectRecurrence):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``Wx=None``, and h and c with their gradients are as in TimeLSTM.
    """

    gates = 3
    states = ("h", "c")
    gate_names = ("f", "r")
    keeps = (1.0,)
    recurrent_state = "c"
    vector_name = "v"
    vector_size = 2

    def __init__(self, Wx: Array | None, v: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, v, b, stateful)

    def _prepare(self, T: int, N: int, H: int) -> None:
        super()._prepare(T, N, H)
        self._tanh_cs = self._buffers.get("tanh_cs", (T, N, H), self.b)
        self._s = self._buffers.get("s", (T, N, H), self.b)

    def coefficients(self, span: slice) -> None:
        """Do nothing: f needs the state of the step before, so `recur` computes it."""

    def recur(self, span: slice) -> None:
        """Write f and c of these steps."""
        kernels = kernels_for(self.b)
        kernels.sru_scan(span.start, span.stop, self._zs, self.vector, self._gates[0], self._states)

    def output(self, span: slice) -> None:
        """Write r and h = r∘(tanh(c) - p) + p."""
        xp, (_, r), y, p = namespace(self.b), self._gates[:, span], self._tanh_cs[span], self._b[span]
        h = self._hs[1:][span]
        xp.multiply(self._states[span], self.vector[self.H :], out=r)
        xp.add(r, self.product(span, 1), out=r)
        sigmoid(r, out=r)
        xp.tanh(self._states[1:][span], out=y)
        xp.multiply(self.direct(span), ALPHA if self.takes_x else 1.0, out=p)
        xp.subtract(y, p, out=h)
        xp.multiply(h, r, out=h)
        xp.add(h, p, out=h)

    def output_gradients(self, span: slice) -> Array:
        """Write dz_r, dp, s and f + s∘vf; return dh∘r∘(1 - tanh(c)²) + dz_r,t+1∘vr, but for dz_r of step span.stop."""
        xp, (f, r), (work, dr) = namespace(self.b), self._gates[:, span], self.work(span)
        y, dh, ds = self._tanh_cs[span], self._dhs[span], self._deltas[span]
        s, a = self._s[span], self._a[span]
        one_minus(r, out=dr)
        xp.multiply(dr, dh, out=dr)
        xp.multiply(dr, ALPHA if self.takes_x else 1.0, out=self._d_direct[span])
        xp.subtract(y, self._b[span], out=work)
        xp.multiply(dr, work, out=dr)
        xp.multiply(dr, r, out=dr)
        self.d_product(span, 1)[...] = dr
        self._add_to_dv(1, dr, span)
        tanh_slope(y, out=ds)
        xp.multiply(ds, r, out=ds)
        xp.multiply(ds, dh, out=ds)
        xp.multiply(dr, self.vector[self.H :], out=dr)
        ds[:-1] += dr[1:]
        sigmoid_slope(f, out=s)
        xp.subtract(self._states[span], self.product(span, 2), out=work)
        xp.multiply(s, work, out=s)
        xp.multiply(s, self.vector[: self.H], out=a)
        xp.add(a, f, out=a)
        return self._deltas

    def product_gradients(self, span: slice) -> None:
        """Write dz_f and du, and add to dv."""
        xp, (f, _), (work, dr) = namespace(self.b), self._gates[:, span], self.work(span)
        delta, s = self._deltas[span], self._s[span]
        self._flowing["c"] += dr[0]
        one_minus(f, out=work)
        xp.multiply(work, delta, out=self.d_product(span, 2))
        xp.multiply(s, delta, out=delta)
        self.d_product(span, 0)[...] = delta
        self._add_to_dv(0, delta, span)

    def _add_to_dv(self, k: int, dz: Array, span: slice) -> None:
        """Add Σ dz∘c_{t-1} to the gradient of vf or vr."""
        work = self.work(span)[0]
        namespace(dz).multiply(dz, self._states[span], out=work)
        self.d_vector[k * self.H : (k + 1) * self.H] += work.sum((0, 1))
