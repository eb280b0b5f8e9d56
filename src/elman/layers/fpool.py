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
    keeps = (-1.0,)

    def coefficients(self, span: slice) -> None:
        """Write a = 1 - z and b = z∘n."""
        z, n = self._gates[:, span]
        sigmoid(self.product(span, 0), out=z)
        self.candidate(self.product(span, 1), out=n)
        one_minus(z, out=self._a[span])
        namespace(z).multiply(z, n, out=self._b[span])

    def product_gradients(self, span: slice) -> None:
        """Write dz_z = δ∘(n - h_{t-1})∘z∘(1 - z) and dz_n = δ∘z∘n'."""
        xp, (z, n), (work, other) = namespace(self.b), self._gates[:, span], self.work(span)
        delta = self._deltas[span]
        xp.multiply(delta, z, out=delta)
        xp.subtract(n, self._hs[span], out=work)
        xp.multiply(work, self._a[span], out=work)
        xp.multiply(work, delta, out=self.d_product(span, 0))
        self.candidate_slope(n, out=work, work=other)
        xp.multiply(work, delta, out=self.d_product(span, 1))

    def candidate(self, u: Array, out: Array) -> None:
        """Write n = tanh(u); u is work space afterwards."""
        namespace(u).tanh(u, out=out)

    def candidate_slope(self, n: Array, out: Array, work: Array) -> None:
        """Write dn/du = 1 - n²."""
        tanh_slope(n, out)
