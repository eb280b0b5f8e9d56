"""f-pooling: a gate and a candidate that see the input only, and a state that is their moving average.

    z = σ(x_t·Wz + b_z)          n = tanh(x_t·Wn + b_n)          h_t = (1 - z)∘h_{t-1} + z∘n

    δ_t as in `elman.layers.diagonal`, a_t = 1 - z, b_t = z∘n
    dz_z = δ_t∘(n - h_{t-1})∘z∘(1 - z)                           dz_n = δ_t∘z∘(1 - n²)

The columns of Wx (D, 2H) and b (2H,) hold z and n, each H wide. Another function than tanh makes another cell.

Sources: D. Balduzzi and M. Ghifary, "Strongly-typed recurrent neural networks", ICML 2016; J. Bradbury et al.,
"Quasi-recurrent neural networks", ICLR 2017, for the name.
"""

from elman.layers.diagonal import TimeDiagonalRecurrence
from elman.layers.kernels import kernels_for


class TimeFPool(TimeDiagonalRecurrence):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``h``, ``dh``, ``set_state`` and ``Wx=None`` are as in TimeRNN.
    """

    gates = 2
    states = ("h",)
    gate_names = ("z", "n")
    keeps = (-1.0,)
    scans = False
    positive = False  # whether n is the minGRU's function instead of tanh

    def coefficients(self, span: slice) -> None:
        """Do nothing: `recur` needs a = 1 - z and b = z∘n number by number only."""

    def recur(self, span: slice) -> None:
        """Write z, n and h of these steps."""
        z, n = self._gates[:, span]
        kernels_for(self.b).pool(
            self._zs[span], self.positive, z, n, self._states[span.start : span.stop + 1]
        )

    def recur_backward(self, span: slice) -> None:
        """Write dz_z = δ∘(n - h_{t-1})∘z∘(1 - z) and dz_n = δ∘z∘n', without keeping δ."""
        z, n = self._gates[:, span]
        kernels_for(self.b).pool_backward(
            self._dhs[span],
            self._states[span.start : span.stop + 1],
            z,
            n,
            self.positive,
            self._flowing["h"],
            self._dzs[span],
            self._buffers,
        )

    def product_gradients(self, span: slice) -> None:
        """Do nothing: `recur_backward` has written them."""
