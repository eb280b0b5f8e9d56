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
from elman.layers.diagonal import TimeDiagonalRecurrence, one_minus
from elman.layers.mingru import positive, positive_slope

LARGEST = 80.0  # exponent: where |z| is larger, the gate is 0 or 1 to within 1e-34


class TimeMinLSTM(TimeDiagonalRecurrence):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``h``, ``dh``, ``set_state`` and ``Wx=None`` are as in TimeRNN.
    """

    gates = 3
    states = ("h",)
    gate_names = ("f", "i", "n")
    keeps = (1.0, -1.0, 0.0)

    def coefficients(self, span: slice) -> None:
        """Write a = f' and b = i'∘n."""
        xp, H, zs, gates = namespace(self.b), self.H, self._zs[span], self._gates[span]
        f, i, n = (self.gate(gates, k) for k in range(3))
        a, b = self._a[span], self._b[span]
        both = gates[..., : 2 * H]  # exp(-z), then P and Q, then f and i
        xp.multiply(zs[..., : 2 * H], -1.0, out=both)
        xp.clip(both, -LARGEST, LARGEST, out=both)
        xp.exp(both, out=both)
        xp.add(both, 1.0, out=both)
        xp.add(f, i, out=a)
        xp.divide(i, a, out=a)
        xp.reciprocal(both, out=both)
        positive(self.gate(zs, 2), out=n)
        one_minus(a, out=b)
        xp.multiply(b, n, out=b)

    def product_gradients(self, span: slice) -> None:
        """Write dz_f, dz_i and dz_n."""
        xp, gates, dzs = namespace(self.b), self._gates[span], self._dzs[span]
        f, i, n = (self.gate(gates, k) for k in range(3))
        df, di, dn = (self.gate(dzs, k) for k in range(3))
        kept, delta, new = self._a[span], self._deltas[span], self._b[span]
        one_minus(kept, out=new)
        xp.multiply(delta, new, out=delta)  # δ∘i'
        positive_slope(n, out=dn)
        xp.multiply(dn, delta, out=dn)
        xp.subtract(self._hs[span], n, out=new)
        xp.multiply(new, kept, out=new)
        xp.multiply(new, delta, out=delta)  # d
        one_minus(f, out=df)
        xp.multiply(df, delta, out=df)
        xp.subtract(i, 1.0, out=di)
        xp.multiply(di, delta, out=di)
