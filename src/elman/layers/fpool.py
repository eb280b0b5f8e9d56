"""f-pooling: a gate and a candidate that see the input only, and a state that is their moving average.

    z = σ(x_t·Wz + b_z)          n = tanh(x_t·Wn + b_n)          h_t = (1 - z)∘h_{t-1} + z∘n

    δ_t as in `elman.layers.diagonal`, a_t = 1 - z, b_t = z∘n
    dz_z = δ_t∘(n - h_{t-1})∘z∘(1 - z)                           dz_n = δ_t∘z∘(1 - n²)

The columns of Wx (D, 2H) and b (2H,) hold z and n, each H wide. Another function than tanh makes another cell.

Sources: D. Balduzzi and M. Ghifary, "Strongly-typed recurrent neural networks", ICML 2016; J. Bradbury et al.,
"Quasi-recurrent neural networks", ICLR 2017, for the name.
"""

from elman.arrays import Array, namespace
from elman.layers.diagonal import TimeDiagonalRecurrence, one_minus, sigmoid, tanh_slope


class TimeFPool(TimeDiagonalRecurrence):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``h``, ``dh``, ``set_state`` and ``Wx=None`` are as in TimeRNN.
    """

    gates = 2
    states = ("h",)
    gate_names = ("z", "n")
    keeps = (-1.0, 0.0)

    def coefficients(self, span: slice) -> None:
        """Write a = 1 - z and b = z∘n."""
        zs, gates, xp = self._zs[span], self._gates[span], namespace(self.b)
        z, n = self.gate(gates, 0), self.gate(gates, 1)
        sigmoid(self.gate(zs, 0), out=z)
        self.candidate(self.gate(zs, 1), out=n)
        one_minus(z, out=self._a[span])
        xp.multiply(z, n, out=self._b[span])

    def product_gradients(self, span: slice) -> None:
        """Write dz_z = δ∘(n - h_{t-1})∘z∘(1 - z) and dz_n = δ∘z∘n'."""
        dzs, gates, xp = self._dzs[span], self._gates[span], namespace(self.b)
        z, n, dz, dn = (self.gate(of_both, k) for of_both in (gates, dzs) for k in (0, 1))
        through_z = self._deltas[span]
        xp.multiply(through_z, z, out=through_z)
        xp.subtract(n, self._hs[span], out=dz)
        xp.multiply(dz, self._a[span], out=dz)
        xp.multiply(dz, through_z, out=dz)
        self.candidate_slope(n, out=dn)
        xp.multiply(dn, through_z, out=dn)

    def candidate(self, u: Array, out: Array) -> None:
        """Write n = tanh(u)."""
        namespace(u).tanh(u, out=out)

    def candidate_slope(self, n: Array, out: Array) -> None:
        """Write dn/du = 1 - n²."""
        tanh_slope(n, out)
