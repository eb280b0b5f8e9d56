"""Real-gated linear recurrent unit (RG-LRU): a decay that each unit learns, and gates that see the input only.

    r, i = σ(x_t·Wr + b_r), σ(x_t·Wi + b_i)          a_t = exp(-8·softplus(Λ)∘r)
    h_t = a_t∘h_{t-1} + m∘i∘u                        m = √(1 - a_t²)

    δ_t as in `elman.layers.diagonal`, b_t = m∘i∘u
    du = δ_t∘m∘i          dz_i = dm∘m∘(1 - i)        dm = δ_t∘i∘u
    dλ = (δ_t∘h_{t-1} - dm∘a_t/m)∘a_t, the gradient of λ = ln a_t
    dz_r = -8·dλ∘softplus(Λ)∘r∘(1 - r)               dΛ = -8·σ(Λ)∘Σ dλ∘r

u is x_t where D = H (the paper's block has a linear layer before it, so that it always is), x_t·Wu + b_u elsewhere.
1/m is cut at 2000, as in the authors' code, whose √ has derivatives of at most 1000. Λ begins so that a_t for r = 1/8,
which is 1/(1 + exp(Λ)), lies between 0.9 and 0.999, its squares at equal distances; the paper draws them. The columns
of Wx and b hold r, i (and u), each H wide; Λ (H,) is ``decay``.

Source: S. De et al., "Griffin: mixing gated linear recurrences with local attention for efficient language models"
(2024).
"""

import numpy as np

from elman.arrays import Array, namespace
from elman.layers.direct import TimeDirectRecurrence
from elman.layers.kernels.numpy import one_minus, sigmoid

SCALE = 8.0
SLOWEST, FASTEST = 0.999, 0.9  # a_t for r = 1/8
LEAST = 5e-4  # the m below which 1/m is not larger any more


class TimeRGLRU(TimeDirectRecurrence):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``h``, ``dh``, ``set_state`` and ``Wx=None`` are as in TimeRNN.
    """

    gates = 2
    states = ("h",)
    gate_names = ("r", "i")
    vector_name = "decay"

    def __init__(self, Wx: Array | None, decay: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, decay, b, stateful)

    @classmethod
    def first_vector(cls, H: int) -> Array:
        """Return the Λ (H,) of decays that are spread between the two limits."""
        return np.log(1 / np.sqrt(np.linspace(FASTEST**2, SLOWEST**2, H)) - 1)

    def _prepare(self, T: int, N: int, H: int) -> None:
        super()._prepare(T, N, H)
        self._m = self._buffers.get("m", (T, N, H), self.b)
        xp, decay = namespace(self.b), self.vector
        self._rate = -SCALE * (xp.log1p(xp.exp(-abs(decay))) + decay * (decay > 0))  # (H,), -8·softplus(Λ)

    def _prepare_backward(self, T: int, N: int, H: int) -> Array:
        self._rate_slope = self._buffers.get("rate_slope", (H,), self.b)  # -8·σ(Λ)
        sigmoid(self.vector, out=self._rate_slope)
        self._rate_slope *= -SCALE
        return super()._prepare_backward(T, N, H)

    def coefficients(self, span: slice) -> None:
        """Write a, m and b = m∘i∘u."""
        xp, (r, i), a, m = namespace(self.b), self._gates[:, span], self._a[span], self._m[span]
        sigmoid(self.product(span, 0), out=r)
        sigmoid(self.product(span, 1), out=i)
        xp.multiply(r, self._rate, out=a)  # λ = ln a
        xp.multiply(a, 2.0, out=m)
        xp.expm1(m, out=m)
        xp.multiply(m, -1.0, out=m)
        xp.sqrt(m, out=m)
        xp.exp(a, out=a)
        xp.multiply(i, self.direct(span), out=self._b[span])
        xp.multiply(self._b[span], m, out=self._b[span])

    def product_gradients(self, span: slice) -> None:
        """Write dz_r, dz_i and du, and add to dΛ."""
        xp, (r, i), (dm, work) = namespace(self.b), self._gates[:, span], self.work(span)
        a, m, delta = self._a[span], self._m[span], self._deltas[span]
        u, du = self.direct(span), self._d_direct[span]
        xp.multiply(delta, i, out=dm)
        xp.multiply(dm, m, out=du)
        xp.multiply(dm, u, out=dm)
        one_minus(i, out=work)
        xp.multiply(work, m, out=work)
        xp.multiply(work, dm, out=self.d_product(span, 1))
        xp.clip(m, LEAST, 1.0, out=work)
        xp.divide(a, work, out=work)
        xp.multiply(dm, work, out=dm)
        xp.multiply(delta, self._hs[span], out=delta)
        xp.subtract(delta, dm, out=delta)
        xp.multiply(delta, a, out=delta)
        xp.multiply(delta, r, out=delta)  # dλ∘r
        self.d_vector += delta.sum((0, 1)) * self._rate_slope
        one_minus(r, out=work)
        xp.multiply(work, self._rate, out=work)
        xp.multiply(work, delta, out=self.d_product(span, 0))
