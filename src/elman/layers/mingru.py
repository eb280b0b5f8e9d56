"""Minimal gated recurrent unit (minGRU): a gate and a candidate that do not see the state before.

    z = σ(x_t·Wz + b_z)          n = g(x_t·Wn + b_n)          g(u) = u + ½ where u ≥ 0, σ(u) elsewhere
    h_t = (1 - z)∘h_{t-1} + z∘n

    δ_t as in `elman.layers.diagonal`, a_t = 1 - z, b_t = z∘n
    dz_z = δ_t∘(n - h_{t-1})∘z∘(1 - z)                        dz_n = δ_t∘z∘g'(u)

g is positive, increasing and smooth at 0. Its derivative is 1 where u ≥ 0, and n∘(1 - n) elsewhere.
The columns of Wx (D, 2H) and b (2H,) hold z and n, each H wide.

Source: L. Feng et al., "Were RNNs all we needed?" (2024).
"""

from elman.arrays import Array, batch_major, namespace
from elman.layers.diagonal import TimeDiagonalRecurrence, one_minus
from elman.layers.lstm import sigmoid


class TimeMinGRU(TimeDiagonalRecurrence):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``h``, ``dh``, ``set_state`` and ``Wx=None`` are as in TimeRNN.
    """

    gates = 2
    states = ("h",)
    gate_names = ("z", "n")
    keeps = (-1.0, 0.0)

    def _prepare(self, T: int, N: int, H: int) -> None:
        super()._prepare(T, N, H)
        self._gates = self._buffers.get("gates", (T, N, 2 * H), self.b)  # z and n

    def coefficients(self, span: slice) -> None:
        """Write a = 1 - z and b = z∘n."""
        z, n = self.gate(self._gates[span], 0), self.gate(self._gates[span], 1)
        z[...] = sigmoid(self.gate(self._zs[span], 0))
        n[...] = positive(self.gate(self._zs[span], 1))
        one_minus(z, out=self._a[span])
        namespace(z).multiply(z, n, out=self._b[span])

    def product_gradients(self, span: slice) -> None:
        """Write dz_z = δ∘(n - h_{t-1})∘z∘(1 - z) and dz_n = δ∘z∘g'."""
        z, n, delta = self.gate(self._gates[span], 0), self.gate(self._gates[span], 1), self._deltas[span]
        flowing = delta * z
        self.gate(self._dzs[span], 0)[...] = flowing * (n - self._hs[span]) * self._a[span]
        self.gate(self._dzs[span], 1)[...] = flowing * positive_slope(n)

    @property
    def inside(self) -> dict[str, Array]:
        """The state h, the gate z and the candidate n of the last `forward`: (N, T, H) each, valid as long as hs."""
        gates = batch_major(self._gates)
        return {**super().inside, "z": self.gate(gates, 0), "n": self.gate(gates, 1)}


def positive(u: Array) -> Array:
    """Return g(u) = u + ½ where u ≥ 0, and σ(u) elsewhere."""
    return namespace(u).where(u >= 0, u + 0.5, sigmoid(u))


def positive_slope(g: Array) -> Array:
    """Return g'(u), given g(u): 1 where u ≥ 0, which is where g ≥ ½, and g∘(1 - g) elsewhere."""
    return namespace(g).where(g >= 0.5, 1.0, g * (1 - g))
