"""Minimal gated recurrent unit (minGRU): a gate and a candidate that do not see the state before.

    z = σ(x_t·Wz + b_z)          n = g(x_t·Wn + b_n)          g(u) = u + ½ where u ≥ 0, σ(u) elsewhere
    h_t = (1 - z)∘h_{t-1} + z∘n

It is `elman.layers.fpool` with g in place of tanh, forward and backward. g is positive, increasing and smooth at 0. Its
derivative is 1 where u ≥ 0, and n∘(1 - n) elsewhere.
The columns of Wx (D, 2H) and b (2H,) hold z and n, each H wide.

Source: L. Feng et al., "Were RNNs all we needed?" (2024).
"""

from elman.layers.fpool import TimeFPool


class TimeMinGRU(TimeFPool):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``h``, ``dh``, ``set_state`` and ``Wx=None`` are as in TimeRNN.
    """

    positive = True
