"""Minimal gated recurrent unit (minGRU): a gate and a candidate that do not see the state before.

    z = σ(x_t·Wz + b_z)          n = g(x_t·Wn + b_n)          g(u) = u + ½ where u ≥ 0, σ(u) elsewhere
    h_t = (1 - z)∘h_{t-1} + z∘n

It is `elman.layers.fpool` with g in place of tanh, forward and backward. g is positive, increasing and smooth at 0. Its
derivative is 1 where u ≥ 0, and n∘(1 - n) elsewhere.
The columns of Wx (D, 2H) and b (2H,) hold z and n, each H wide.

Source: L. Feng et al., "Were RNNs all we needed?" (2024).
"""

from elman.arrays import Array, namespace
from elman.layers.diagonal import sigmoid
from elman.layers.fpool import TimeFPool


class TimeMinGRU(TimeFPool):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``h``, ``dh``, ``set_state`` and ``Wx=None`` are as in TimeRNN.
    """

    def candidate(self, u: Array, out: Array) -> None:
        """Write n = g(u); u is work space afterwards."""
        positive(u, out)

    def candidate_slope(self, n: Array, out: Array, work: Array) -> None:
        """Write g'(u)."""
        positive_slope(n, out, work)


def positive(u: Array, out: Array) -> None:
    """out = g(u) = max(u, 0) + σ(min(u, 0)); u is overwritten."""
    xp = namespace(u)
    xp.clip(u, None, 0.0, out=out)
    sigmoid(out, out)
    xp.clip(u, 0.0, None, out=u)
    xp.add(out, u, out=out)


def positive_slope(g: Array, out: Array, work: Array) -> None:
    """out = g'(u), given g(u): with m = min(g, ½), m - m², and ¾ more where g ≥ ½; choosing is slower than adding."""
    xp = namespace(g)
    xp.greater_equal(g, 0.5, out=work)
    xp.multiply(work, 0.75, out=work)
    xp.clip(g, None, 0.5, out=out)
    xp.add(work, out, out=work)
    xp.multiply(out, out, out=out)
    xp.subtract(work, out, out=out)
