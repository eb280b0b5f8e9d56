"""Long short-term memory: one step, and T steps with backpropagation through time.

    i, f, o = σ(z_i), σ(z_f), σ(z_o)     g = tanh(z_g)     z = h_{t-1}·Wh + x_t·Wx + b
    c_t = f∘c_{t-1} + i∘g                h_t = o∘tanh(c_t)

The columns of Wx (D, 4H), Wh (H, 4H) and b (4H,) hold the gates in the order i, f, g, o (input,
forget, candidate, output), each H wide: PyTorch's order. There is one bias: PyTorch's two are added.

Sources: S. Hochreiter and J. Schmidhuber, Neural Computation 9 (1997); F. Gers, J. Schmidhuber and
F. Cummins, Neural Computation 12 (2000), for the forget gate.
"""

import numpy as np

from elman.arrays import Array, Buffers, asarray, batch_major, contiguous, namespace, time_major, zeros
from elman.layers.base import check_gradient, check_sequence, check_state, check_weights, copied_state
from elman.layers.projection import InputProjection


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)) as ½·tanh(½z) + ½, which cannot overflow."""
    return namespace(z).tanh(z * 0.5) * 0.5 + 0.5


class LSTM:
    """One step of the recurrence, as the equations read."""

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        H = Wh.shape[0]
        check_weights("LSTM", Wx=(Wx, (Wx.shape[0], 4 * H)), Wh=(Wh, (H, 4 * H)), b=(b, (4 * H,)))
        self.params = [Wx, Wh, b]
        self.grads = [zeros(tuple(p.shape), p) for p in self.params]

    def forward(self, x: Array, h_prev: Array, c_prev: Array) -> tuple[Array, Array]:
        """Return h_next, c_next (N, H) for x (N, D), h_prev and c_prev (N, H)."""
        Wx, Wh, b = self.params
        H = Wh.shape[0]
        z = h_prev @ Wh + x @ Wx + b
        i, f, o = sigmoid(z[:, :H]), sigmoid(z[:, H : 2 * H]), sigmoid(z[:, 3 * H :])
        g = namespace(z).tanh(z[:, 2 * H : 3 * H])
        c_next = f * c_prev + i * g
        tanh_c = namespace(z).tanh(c_next)
        self.cache = x, h_prev, c_prev, i, f, g, o, tanh_c
        return o * tanh_c, c_next

    def backward(self, dh_next: Array, dc_next: Array) -> tuple[Array, Array, Array]:
        """Return dx (N, D), dh_prev and dc_prev (N, H)."""
        Wx, Wh, _ = self.params
        x, h_prev, c_prev, i, f, g, o, tanh_c = self.cache
        dc = dc_next + dh_next * o * (1 - tanh_c * tanh_c)
        dz = namespace(dc).concatenate(
            (
                dc * g * i * (1 - i),
                dc * c_prev * f * (1 - f),
                dc * i * (1 - g * g),
                dh_next * tanh_c * o * (1 - o),
            ),
            1,
        )  # (N, 4H)
        dWx, dWh, db = self.grads
        dWx[...] = x.T @ dz
        dWh[...] = h_prev.T @ dz
        db[...] = dz.sum(axis=0)
        return dz @ Wx.T, dz @ Wh.T, dc * f


class TimeLSTM:
    """T steps of the same cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful=True`` carries h and c into the next block. ``dh`` and ``dc`` are the gradients of the
    loss with respect to the h and c that came in. ``Wx=None``: the input is already projected, (N, T, 4H).
    """

    def __init__(self, Wx: Array | None, Wh: Array, b: Array, stateful: bool = False) -> None:
        H = Wh.shape[0]
        check_weights("TimeLSTM", Wh=(Wh, (H, 4 * H)), b=(b, (4 * H,)))
        self.projection = InputProjection("TimeLSTM", Wx, b)
        self.Wh, self.dWh = Wh, zeros((H, 4 * H), Wh)
        self.params = [*self.projection.weights, Wh, b]
        self.grads = [*self.projection.weight_grads, self.dWh, self.projection.db]
        self.stateful = stateful
        self.h: Array | None = None
        self.c: Array | None = None
        self.dh: Array | None = None
        self.dc: Array | None = None
        self._buffers = Buffers()
        # σ(z) = ½·tanh(½z) + ½ makes one tanh serve all four gates: gate = tanh(z·slope)·slope + shift
        self._slope = asarray(np.repeat([0.5, 0.5, 1.0, 0.5], H), Wh)
        self._shift = asarray(np.repeat([0.5, 0.5, 0.0, 0.5], H), Wh)

    def forward(self, xs: Array) -> Array:
        """Return hs (N, T, H) for xs (N, T, D).

        Raises:
            ShapeError: xs has another width, or the carried state another number of lanes.
        """
        check_sequence("xs", xs, self.projection.D)
        N, T, _ = xs.shape
        H = self.Wh.shape[0]
        xp, buffers = namespace(self.Wh), self._buffers
        zs = self.projection.forward(time_major(xs))  # (T, N, 4H), x_t·Wx + b of the whole block
        hs = buffers.get("hs", (T + 1, N, H), self.Wh)  # hs[0] is the incoming state
        cs = buffers.get("cs", (T + 1, N, H), self.Wh)  # cs[0] likewise
        tanh_cs = buffers.get("tanh_cs", (T, N, H), self.Wh)
        gates = buffers.get("gates", (T, N, 4 * H), self.Wh)
        ig = buffers.get("ig", (N, H), self.Wh)
        hs[0], cs[0] = self._incoming("h", self.h, N), self._incoming("c", self.c, N)
        for t in range(T):
            gate, c, tanh_c = gates[t], cs[t + 1], tanh_cs[t]
            xp.matmul(hs[t], self.Wh, out=gate)
            xp.add(gate, zs[t], out=gate)
            xp.multiply(gate, self._slope, out=gate)
            xp.tanh(gate, out=gate)
            xp.multiply(gate, self._slope, out=gate)
            xp.add(gate, self._shift, out=gate)
            i, f, g, o = (gate[:, k * H : (k + 1) * H] for k in range(4))
            xp.multiply(f, cs[t], out=c)
            xp.multiply(i, g, out=ig)
            xp.add(c, ig, out=c)
            xp.tanh(c, out=tanh_c)
            xp.multiply(o, tanh_c, out=hs[t + 1])
        self._hs, self._cs, self._tanh_cs, self._gates = hs, cs, tanh_cs, gates
        self.h, self.c = hs[T] + 0, cs[T] + 0  # copies: the buffers are written again
        return batch_major(hs[1:])

    def _incoming(self, name: str, state: Array | None, N: int) -> Array | int:
        if not self.stateful or state is None:
            return 0
        check_state(name, state, N, self.Wh.shape[0])
        return state

    def backward(self, dhs: Array) -> Array:
        """Return dxs (N, T, D) for dhs (N, T, H), and write the gradients summed over the block."""
        hs, gates = self._hs, self._gates
        T, N, H = hs.shape[0] - 1, hs.shape[1], hs.shape[2]
        check_gradient(dhs, (N, T, H))
        xp, buffers = namespace(self.Wh), self._buffers
        dhs = time_major(dhs)
        dz_dc, dz_dh, dc_dh = self._local_slopes()
        dzs = buffers.get("dzs", (T, N, 4 * H), self.Wh)
        dh = buffers.get("dh", (N, H), self.Wh)  # what flows back from step t+1, through h
        dc = buffers.get("dc", (N, H), self.Wh)  # and through c
        through_h = buffers.get("through_h", (N, H), self.Wh)
        dh[...] = 0
        dc[...] = 0
        WhT = contiguous(self.Wh.T)
        for t in reversed(range(T)):
            dz = dzs[t].reshape(N, 4, H)
            xp.add(dh, dhs[t], out=dh)
            xp.multiply(dh, dc_dh[t], out=through_h)
            xp.add(dc, through_h, out=dc)
            xp.multiply(dc[:, None, :], dz_dc[t], out=dz[:, :3])
            xp.multiply(dh, dz_dh[t], out=dz[:, 3])
            xp.multiply(dc, gates[t][:, H : 2 * H], out=dc)
            xp.matmul(dzs[t], WhT, out=dh)
        self.dh, self.dc = dh + 0, dc + 0
        xp.matmul(hs[:T].reshape(T * N, H).T, dzs.reshape(T * N, 4 * H), out=self.dWh)
        return batch_major(self.projection.backward(dzs))

    def _local_slopes(self) -> tuple[Array, Array, Array]:
        """Return ∂z_{i,f,g}/∂c as (T, N, 3, H), ∂z_o/∂h and ∂c/∂h as (T, N, H), for all steps at once."""
        T, N, H = self._tanh_cs.shape
        xp, buffers = namespace(self.Wh), self._buffers
        i, f, g, o = (self._gates[:, :, k * H : (k + 1) * H] for k in range(4))
        tanh_c, c_prev = self._tanh_cs, self._cs[:T]
        dz_dc = buffers.get("dz_dc", (T, N, 3, H), self.Wh)
        dz_dh = buffers.get("dz_dh", (T, N, H), self.Wh)
        dc_dh = buffers.get("dc_dh", (T, N, H), self.Wh)
        one_minus = buffers.get("one_minus", (T, N, H), self.Wh)

        def write(out: Array, factor: Array, gate: Array, square: bool) -> None:
            """out = factor · gate·(1 - gate) for σ, or factor · (1 - gate²) for tanh."""
            if square:
                xp.multiply(gate, gate, out=one_minus)
            else:
                one_minus[...] = gate
            xp.subtract(one_minus, 1, out=one_minus)
            xp.multiply(one_minus, -1, out=one_minus)
            if not square:
                xp.multiply(one_minus, gate, out=one_minus)
            xp.multiply(factor, one_minus, out=out)

        write(dz_dc[:, :, 0], g, i, square=False)
        write(dz_dc[:, :, 1], c_prev, f, square=False)
        write(dz_dc[:, :, 2], i, g, square=True)
        write(dz_dh, tanh_c, o, square=False)
        write(dc_dh, o, tanh_c, square=True)
        return dz_dc, dz_dh, dc_dh

    def set_state(self, h: Array, c: Array | None = None) -> None:
        """Set the incoming h and c (N, H) of the next block; c=None means zeros."""
        self.h, self.c = copied_state(h, self.Wh), copied_state(c, self.Wh)

    def reset_state(self) -> None:
        """Forget the carried state: the next block starts from zeros."""
        self.h = self.c = None
