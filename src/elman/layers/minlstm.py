"""Minimal LSTM (minLSTM): forget and input gates that do not see the state before, scaled to a sum of 1.

    f, i = σ(x_t·Wf + b_f), σ(x_t·Wi + b_i)          n = g(x_t·Wn + b_n), with g of `elman.layers.mingru`
    f' = f/(f + i)          i' = i/(f + i)           h_t = f'∘h_{t-1} + i'∘n

    δ_t as in `elman.layers.diagonal`, a_t = f', b_t = i'∘n
    d = δ_t∘(h_{t-1} - n)∘f'∘i'          dz_f = d∘(1 - f)          dz_i = -d∘(1 - i)          dz_n = δ_t∘i'∘g'(u)

With P = 1/f = 1 + exp(-z_f) and Q = 1/i, f' is Q/(P + Q), which does not divide 0 by 0 where both gates are closed.
The columns of Wx (D, 3H) and b (3H,) hold f, i and n, each H wide.

Source: L. Feng et al., "Were RNNs all we needed?" (2024).
"""

from elman.arrays import namespace
from elman.layers.diagonal import TimeDiagonalRecurrence
from elman.layers.kernels.numpy import one_minus, positive_candidate, positive_slope

LARGEST = 80.0  # exponent: where |z| is larger, the gate is 0 or 1 to within 1e-34


class TimeMinLSTM(TimeDiagonalRecurrence):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``h``, ``dh``, ``set_state`` and ``Wx=None`` are as in TimeRNN.
    """

    gates = 3
    states = ("h",)
    gate_names = ("f", "i", "n")
    keeps = (1.0, -1.0)

    def coefficients(self, span: slice) -> None:
        """Write a = f' and b = i'∘n."""
        xp, (f, i, n), a, b = namespace(self.b), self._gates[:, span], self._a[span], self._b[span]
        for k, inverse in enumerate((f, i)):
            xp.multiply(self.product(span, k), -1.0, out=inverse)
            xp.clip(inverse, -LARGEST, LARGEST, out=inverse)
            xp.exp(inverse, out=inverse)
            xp.add(inverse, 1.0, out=inverse)
        xp.add(f, i, out=a)  # P + Q
        xp.divide(i, a, out=a)
        xp.reciprocal(f, out=f)
        xp.reciprocal(i, out=i)
        positive_candidate(self.product(span, 2), out=n)
        one_minus(a, out=b)
        xp.multiply(b, n, out=b)

    def product_gradients(self, span: slice) -> None:
        """Write dz_f, dz_i and dz_n."""
        xp, (f, i, n), (d, work) = namespace(self.b), self._gates[:, span], self.work(span)
        a, delta = self._a[span], self._deltas[span]
        one_minus(a, out=work)
        xp.multiply(delta, work, out=delta)  # δ∘i'
        xp.subtract(self._hs[span], n, out=d)
        xp.multiply(d, a, out=d)
        xp.multiply(d, delta, out=d)
        one_minus(f, out=work)
        xp.multiply(work, d, out=self.d_product(span, 0))
        xp.subtract(i, 1.0, out=work)
        xp.multiply(work, d, out=self.d_product(span, 1))
        positive_slope(n, out=work, work=d)
        xp.multiply(work, delta, out=self.d_product(span, 2))
