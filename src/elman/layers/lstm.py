"""Long short-term memory: one step, and T steps with backpropagation through time.

    i, f, o = σ(z_i), σ(z_f), σ(z_o)     g = tanh(z_g)     z = h_{t-1}·Wh + x_t·Wx + b
    c_t = f∘c_{t-1} + i∘g                h_t = o∘tanh(c_t)

The columns of Wx (D, 4H), Wh (H, 4H) and b (4H,) hold the gates in the order i, f, g, o (input,
forget, candidate, output), each H wide: PyTorch's order. There is one bias: PyTorch's two are added.

Sources: S. Hochreiter and J. Schmidhuber, Neural Computation 9 (1997); F. Gers, J. Schmidhuber and
F. Cummins, Neural Computation 12 (2000), for the forget gate.
"""

import numpy as np

from elman.arrays import Array, asarray, batch_major, namespace, zeros
from elman.layers.base import check_weights, copied_state
from elman.layers.recurrent import TimeRecurrence


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


class TimeLSTM(TimeRecurrence):
    """T steps of the same cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful=True`` carries h and c into the next block. ``dh`` and ``dc`` are the gradients of the
    loss with respect to the h and c that came in. ``Wx=None``: the input is already projected, (N, T, 4H).
    """

    c: Array | None
    dc: Array | None
    gates = 4
    states = ("h", "c")

    def __init__(self, Wx: Array | None, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, b, stateful)
        self.dc = None
        # σ(z) = ½·tanh(½z) + ½ makes one tanh serve all four gates: gate = tanh(z·slope)·slope + shift
        H = Wh.shape[0]
        self._slope = asarray(np.repeat([0.5, 0.5, 1.0, 0.5], H), Wh)
        self._shift = asarray(np.repeat([0.5, 0.5, 0.0, 0.5], H), Wh)

    def _prepare(self, T: int, N: int, H: int) -> None:
        self._cs = self._carried["c"]
        self._tanh_cs = self._buffers.get("tanh_cs", (T, N, H), self.Wh)
        self._gates = self._buffers.get("gates", (T, N, 4 * H), self.Wh)
        self._ig = self._buffers.get("ig", (N, H), self.Wh)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: the gates, then c_t = f∘c_{t-1} + i∘g and h_t = o∘tanh(c_t)."""
        self.projection.forward_steps(first, last)
        xp, Wh, slope, shift, ig = namespace(self.Wh), self._product_Wh, self._slope, self._shift, self._ig
        H, fused = self.Wh.shape[0], self._fused
        for t in range(first, last):
            gate, c, tanh_c = self._gates[t], self._cs[t + 1], self._tanh_cs[t]
            xp.matmul(self._hs[t], Wh, out=gate)
            if fused:
                fused.lstm_step(self._zs[t], self._cs[t], gate, c, tanh_c, self._hs[t + 1])
                continue
            xp.add(gate, self._zs[t], out=gate)
            xp.multiply(gate, slope, out=gate)
            xp.tanh(gate, out=gate)
            xp.multiply(gate, slope, out=gate)
            xp.add(gate, shift, out=gate)
            i, f, g, o = gate[:, :H], gate[:, H : 2 * H], gate[:, 2 * H : 3 * H], gate[:, 3 * H :]
            xp.multiply(f, self._cs[t], out=c)
            xp.multiply(i, g, out=ig)
            xp.add(c, ig, out=c)
            xp.tanh(c, out=tanh_c)
            xp.multiply(o, tanh_c, out=self._hs[t + 1])

    @property
    def inside(self) -> dict[str, Array]:
        """The states h and c, and the gates i, f, g and o, of the last `forward`: (N, T, H) each, valid as hs is."""
        H, gates = self.Wh.shape[0], batch_major(self._gates)
        named = {name: gates[:, :, k * H : (k + 1) * H] for k, name in enumerate("ifgo")}
        return {**super().inside, **named}

    def _prepare_backward(self, T: int, N: int, H: int) -> tuple[Array, Array]:
        buffers, Wh = self._buffers, self.Wh
        self._dz_dc = buffers.get("dz_dc", (T, N, 3, H), Wh)  # ∂z_{i,f,g}/∂c
        self._dz_dh = buffers.get("dz_dh", (T, N, H), Wh)  # ∂z_o/∂h
        self._dc_dh = buffers.get("dc_dh", (T, N, H), Wh)
        self._work = buffers.get("work", (T, N, H), Wh)
        self._through_h = buffers.get("through_h", (N, H), Wh)
        self._dzs = buffers.get("dzs", (T, N, 4 * H), Wh)
        return self._dzs, self._dzs

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: dh_t and dc_t through the gates into dz_t, and dz_t·Whᵀ into dh_{t-1}."""
        xp, WhT, through_h = namespace(self.Wh), self._WhT, self._through_h
        dh, dc = self._flowing["h"], self._flowing["c"]
        (N, H), fused = dh.shape, self._fused
        if not fused:
            self._local_slopes(slice(first, last))
        for t in reversed(range(first, last)):
            if fused:
                fused.lstm_step_backward(
                    self._dhs[t], self._gates[t], self._cs[t], self._tanh_cs[t], dh, dc, self._dzs[t]
                )
                xp.matmul(self._dzs[t], WhT, out=dh)
                continue
            dz = self._dzs[t].reshape(N, 4, H)
            xp.add(dh, self._dhs[t], out=dh)
            xp.multiply(dh, self._dc_dh[t], out=through_h)
            xp.add(dc, through_h, out=dc)
            xp.multiply(dc[:, None, :], self._dz_dc[t], out=dz[:, :3])
            xp.multiply(dh, self._dz_dh[t], out=dz[:, 3])
            xp.multiply(dc, self._gates[t][:, H : 2 * H], out=dc)
            xp.matmul(self._dzs[t], WhT, out=dh)
        self.projection.backward_steps(first, last)

    def _local_slopes(self, span: slice) -> None:
        """Write ∂z_{i,f,g}/∂c, ∂z_o/∂h and ∂c/∂h of these steps, all at once."""
        H = self.Wh.shape[0]
        xp, one_minus = namespace(self.Wh), self._work[span]
        i, f, g, o = (self._gates[span, :, k * H : (k + 1) * H] for k in range(4))
        tanh_c, c_prev, dz_dc = self._tanh_cs[span], self._cs[span], self._dz_dc[span]

        def write(out: Array, factor: Array, gate: Array, square: bool) -> None:
            """out = factor · gate·(1 - gate) for σ, or factor · (1 - gate²) for tanh."""
            if square:
                xp.multiply(gate, gate, out=one_minus)
                xp.subtract(self._one, one_minus, out=one_minus)
            else:
                xp.subtract(self._one, gate, out=one_minus)
                xp.multiply(one_minus, gate, out=one_minus)
            xp.multiply(factor, one_minus, out=out)

        write(dz_dc[:, :, 0], g, i, square=False)
        write(dz_dc[:, :, 1], c_prev, f, square=False)
        write(dz_dc[:, :, 2], i, g, square=True)
        write(self._dz_dh[span], tanh_c, o, square=False)
        write(self._dc_dh[span], o, tanh_c, square=True)

    def set_state(self, h: Array, c: Array | None = None) -> None:
        """Set the incoming h and c (N, H) of the next block; c=None means zeros."""
        super().set_state(h)
        self.c = copied_state(c, self.Wh)
