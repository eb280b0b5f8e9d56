"""Gated recurrent unit: one step, and T steps with backpropagation through time.

    r, z = σ(x_t·Wx_{r,z} + h_{t-1}·Wh_{r,z} + b_{r,z})
    a    = h_{t-1}·Wh_n + b_h              n = tanh(x_t·Wx_n + b_n + r∘a)
    h_t  = (1 - z)∘n + z∘h_{t-1}

The columns of Wx (D, 3H), Wh (H, 3H) and b (3H,) hold r, z, n (reset, update, candidate), each H wide:
PyTorch's order, and like PyTorch (and ONNX with ``linear_before_reset=1``) the reset gate acts after the
product, so that one product serves all three. ``b_h`` (H,) is the bias inside the reset; it may be left
out. PyTorch's other two hidden biases are added to b.

Source: K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014.
"""

from elman.arrays import Array, Buffers, batch_major, contiguous, namespace, time_major, zeros
from elman.layers.base import check_gradient, check_sequence, check_state, check_weights, copied_state
from elman.layers.lstm import sigmoid
from elman.layers.projection import InputProjection


class GRU:
    """One step of the recurrence, as the equations read."""

    def __init__(self, Wx: Array, Wh: Array, b: Array, b_h: Array | None = None) -> None:
        H = Wh.shape[0]
        check_weights("GRU", Wx=(Wx, (Wx.shape[0], 3 * H)), Wh=(Wh, (H, 3 * H)), b=(b, (3 * H,)))
        if b_h is not None:
            check_weights("GRU", b_h=(b_h, (H,)))
        self.params = [Wx, Wh, b] if b_h is None else [Wx, Wh, b, b_h]
        self.grads = [zeros(tuple(p.shape), p) for p in self.params]

    def forward(self, x: Array, h_prev: Array) -> Array:
        """Return h_next (N, H) for x (N, D) and h_prev (N, H)."""
        Wx, Wh, b = self.params[:3]
        H = Wh.shape[0]
        zx, zh = x @ Wx + b, h_prev @ Wh
        r, z = sigmoid(zx[:, :H] + zh[:, :H]), sigmoid(zx[:, H : 2 * H] + zh[:, H : 2 * H])
        a = zh[:, 2 * H :] + (self.params[3] if len(self.params) == 4 else 0)
        n = namespace(a).tanh(zx[:, 2 * H :] + r * a)
        self.cache = x, h_prev, r, z, a, n
        return (1 - z) * n + z * h_prev

    def backward(self, dh_next: Array) -> tuple[Array, Array]:
        """Return dx (N, D) and dh_prev (N, H) for dh_next (N, H)."""
        Wx, Wh = self.params[:2]
        x, h_prev, r, z, a, n = self.cache
        dzn = dh_next * (1 - z) * (1 - n * n)
        dzz = dh_next * (h_prev - n) * z * (1 - z)
        dzr = dzn * a * r * (1 - r)
        concatenate = namespace(a).concatenate
        dzx = concatenate((dzr, dzz, dzn), 1)  # (N, 3H), towards x
        dzh = concatenate((dzr, dzz, dzn * r), 1)  # (N, 3H), towards h
        self.grads[0][...] = x.T @ dzx
        self.grads[1][...] = h_prev.T @ dzh
        self.grads[2][...] = dzx.sum(axis=0)
        if len(self.params) == 4:
            self.grads[3][...] = (dzn * r).sum(axis=0)
        return dzx @ Wx.T, dzh @ Wh.T + dh_next * z


class TimeGRU:
    """T steps of the same cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``h``, ``dh``, ``set_state`` and ``Wx=None`` are as in TimeRNN.
    """

    def __init__(
        self, Wx: Array | None, Wh: Array, b: Array, b_h: Array | None = None, stateful: bool = False
    ) -> None:
        H = Wh.shape[0]
        check_weights("TimeGRU", Wh=(Wh, (H, 3 * H)), b=(b, (3 * H,)))
        if b_h is not None:
            check_weights("TimeGRU", b_h=(b_h, (H,)))
        self.projection = InputProjection("TimeGRU", Wx, b)
        self.Wh, self.dWh = Wh, zeros((H, 3 * H), Wh)
        self.params = [*self.projection.weights, Wh, b]
        self.grads = [*self.projection.weight_grads, self.dWh, self.projection.db]
        self.b_h, self.db_h = b_h, zeros((H,), Wh)
        if b_h is not None:
            self.params.append(b_h)
            self.grads.append(self.db_h)
        self.stateful = stateful
        self.h: Array | None = None
        self.dh: Array | None = None
        self._buffers = Buffers()

    def forward(self, xs: Array) -> Array:
        """Return hs (N, T, H) for xs (N, T, D).

        Raises:
            ShapeError: xs has another width, or the carried state another number of lanes.
        """
        check_sequence("xs", xs, self.projection.D)
        N, T, _ = xs.shape
        H = self.Wh.shape[0]
        xp, buffers = namespace(self.Wh), self._buffers
        zs = self.projection.forward(time_major(xs))  # (T, N, 3H), x_t·Wx + b of the whole block
        hs = buffers.get("hs", (T + 1, N, H), self.Wh)  # hs[0] is the incoming state
        products = buffers.get("products", (T, N, 3 * H), self.Wh)  # r, z and a, in place
        ns = buffers.get("ns", (T, N, H), self.Wh)
        if self.stateful and self.h is not None:
            check_state("h", self.h, N, H)
            hs[0] = self.h
        else:
            hs[0] = 0
        for t in range(T):
            product, n, h = products[t], ns[t], hs[t + 1]
            xp.matmul(hs[t], self.Wh, out=product)
            rz, a = product[:, : 2 * H], product[:, 2 * H :]
            xp.add(rz, zs[t][:, : 2 * H], out=rz)
            xp.multiply(rz, 0.5, out=rz)  # σ(z) = ½·tanh(½z) + ½
            xp.tanh(rz, out=rz)
            xp.multiply(rz, 0.5, out=rz)
            xp.add(rz, 0.5, out=rz)
            r, z = rz[:, :H], rz[:, H:]
            if self.b_h is not None:
                xp.add(a, self.b_h, out=a)
            xp.multiply(r, a, out=n)
            xp.add(n, zs[t][:, 2 * H :], out=n)
            xp.tanh(n, out=n)
            xp.subtract(hs[t], n, out=h)  # h_t = n + z∘(h_{t-1} - n)
            xp.multiply(h, z, out=h)
            xp.add(h, n, out=h)
        self._hs, self._products, self._ns = hs, products, ns
        self.h = hs[T] + 0  # a copy: the buffer is written again
        return batch_major(hs[1:])

    def backward(self, dhs: Array) -> Array:
        """Return dxs (N, T, D) for dhs (N, T, H), and write the gradients summed over the block."""
        hs = self._hs
        T, N, H = hs.shape[0] - 1, hs.shape[1], hs.shape[2]
        check_gradient(dhs, (N, T, H))
        xp, buffers = namespace(self.Wh), self._buffers
        dhs = time_major(dhs)
        r, z, a = (self._products[:, :, k * H : (k + 1) * H] for k in range(3))
        n_slope, z_slope, r_slope = self._local_slopes(r, z, a)
        towards_x = buffers.get("towards_x", (T, N, 3 * H), self.Wh)
        towards_h = buffers.get("towards_h", (T, N, 3 * H), self.Wh)
        dh = buffers.get("dh", (N, H), self.Wh)  # what flows back from step t+1
        through_z = buffers.get("through_z", (N, H), self.Wh)
        dh[...] = 0
        WhT = contiguous(self.Wh.T)
        for t in reversed(range(T)):
            dzr, dzz, dzn = (towards_x[t][:, k * H : (k + 1) * H] for k in range(3))
            xp.add(dh, dhs[t], out=dh)
            xp.multiply(dh, n_slope[t], out=dzn)
            xp.multiply(dh, z_slope[t], out=dzz)
            xp.multiply(dzn, r_slope[t], out=dzr)
            towards_h[t][:, : 2 * H] = towards_x[t][:, : 2 * H]
            xp.multiply(dzn, r[t], out=towards_h[t][:, 2 * H :])
            xp.multiply(dh, z[t], out=through_z)
            xp.matmul(towards_h[t], WhT, out=dh)
            xp.add(dh, through_z, out=dh)
        self.dh = dh + 0
        rows = towards_h.reshape(T * N, 3 * H)
        xp.matmul(hs[:T].reshape(T * N, H).T, rows, out=self.dWh)
        self.db_h[...] = rows[:, 2 * H :].sum(axis=0)
        return batch_major(self.projection.backward(towards_x))

    def _local_slopes(self, r: Array, z: Array, a: Array) -> tuple[Array, Array, Array]:
        """Return ∂h/∂z_n, ∂h/∂z_z and ∂z_n/∂z_r as (T, N, H), for all steps at once."""
        ns, h_prev = self._ns, self._hs[:-1]
        xp, buffers = namespace(self.Wh), self._buffers
        minus = buffers.get("minus", tuple(ns.shape), self.Wh)
        n_slope = buffers.get("n_slope", tuple(ns.shape), self.Wh)  # (1 - z)(1 - n²)
        z_slope = buffers.get("z_slope", tuple(ns.shape), self.Wh)  # (h_{t-1} - n)·z(1 - z)
        r_slope = buffers.get("r_slope", tuple(ns.shape), self.Wh)  # a·r(1 - r)
        xp.subtract(z, 1, out=minus)
        xp.multiply(ns, ns, out=n_slope)
        xp.subtract(n_slope, 1, out=n_slope)
        xp.multiply(n_slope, minus, out=n_slope)
        xp.subtract(ns, h_prev, out=z_slope)
        xp.multiply(z_slope, z, out=z_slope)
        xp.multiply(z_slope, minus, out=z_slope)
        xp.subtract(r, 1, out=minus)
        xp.multiply(minus, -1, out=minus)
        xp.multiply(a, r, out=r_slope)
        xp.multiply(r_slope, minus, out=r_slope)
        return n_slope, z_slope, r_slope

    def set_state(self, h: Array) -> None:
        """Set the incoming state (N, H) of the next block; only a stateful layer reads it."""
        self.h = copied_state(h, self.Wh)

    def reset_state(self) -> None:
        """Forget the carried state: the next block starts from zeros."""
        self.h = None
