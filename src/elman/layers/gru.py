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

from elman.arrays import Array, as_rows, batch_major, namespace, zeros
from elman.layers.base import check_weights
from elman.layers.lstm import sigmoid
from elman.layers.recurrent import TimeRecurrence


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


class TimeGRU(TimeRecurrence):
    """T steps of the same cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``h``, ``dh``, ``set_state`` and ``Wx=None`` are as in TimeRNN.
    """

    gates = 3
    states = ("h",)

    def __init__(
        self, Wx: Array | None, Wh: Array, b: Array, b_h: Array | None = None, stateful: bool = False
    ) -> None:
        super().__init__(Wx, Wh, b, stateful)
        self.b_h, self.db_h = b_h, zeros((Wh.shape[0],), Wh)
        if b_h is not None:
            check_weights("TimeGRU", b_h=(b_h, (Wh.shape[0],)))
            self.params.append(b_h)
            self.grads.append(self.db_h)
        self._b_h = zeros((Wh.shape[0],), Wh) if b_h is None else b_h

    def _prepare(self, T: int, N: int, H: int) -> None:
        self._products = self._buffers.get("products", (T, N, 3 * H), self.Wh)  # r, z and a, in place
        self._ns = self._buffers.get("ns", (T, N, H), self.Wh)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: r and z, then n, then h_t = n + z∘(h_{t-1} - n)."""
        self.projection.forward_steps(first, last)
        xp, Wh, H, fused = namespace(self.Wh), self._product_Wh, self.Wh.shape[0], self._fused
        for t in range(first, last):
            product, zx, n, h_prev, h = (
                self._products[t], self._zs[t], self._ns[t], self._hs[t], self._hs[t + 1]
            )  # fmt: skip
            xp.matmul(h_prev, Wh, out=product)
            if fused:
                fused.gru_step(zx, self._b_h, h_prev, product, n, h)
                continue
            rz, a = product[:, : 2 * H], product[:, 2 * H :]
            xp.add(rz, zx[:, : 2 * H], out=rz)
            xp.multiply(rz, 0.5, out=rz)  # σ(z) = ½·tanh(½z) + ½
            xp.tanh(rz, out=rz)
            xp.multiply(rz, 0.5, out=rz)
            xp.add(rz, 0.5, out=rz)
            r, z = rz[:, :H], rz[:, H:]
            if self.b_h is not None:
                xp.add(a, self.b_h, out=a)
            xp.multiply(r, a, out=n)
            xp.add(n, zx[:, 2 * H :], out=n)
            xp.tanh(n, out=n)
            xp.subtract(h_prev, n, out=h)
            xp.multiply(h, z, out=h)
            xp.add(h, n, out=h)

    @property
    def inside(self) -> dict[str, Array]:
        """The state h, the gates r and z and the candidate n of the last `forward`: (N, T, H) each, valid as hs is."""
        H, products = self.Wh.shape[0], batch_major(self._products)
        r, z = products[:, :, :H], products[:, :, H : 2 * H]
        return {**super().inside, "r": r, "z": z, "n": batch_major(self._ns)}

    def _prepare_backward(self, T: int, N: int, H: int) -> tuple[Array, Array]:
        buffers, Wh = self._buffers, self.Wh
        self._minus = buffers.get("minus", (T, N, H), Wh)
        self._n_slopes = buffers.get("n_slopes", (T, N, H), Wh)  # ∂h/∂z_n = (1 - z)(1 - n²)
        self._z_slopes = buffers.get("z_slopes", (T, N, H), Wh)  # ∂h/∂z_z = (h_{t-1} - n)·z(1 - z)
        self._r_slopes = buffers.get("r_slopes", (T, N, H), Wh)  # ∂z_n/∂z_r = a·r(1 - r)
        self._through_z = buffers.get("through_z", (N, H), Wh)
        self._towards_x = buffers.get("towards_x", (T, N, 3 * H), Wh)
        self._towards_h = buffers.get("towards_h", (T, N, 3 * H), Wh)
        return self._towards_x, self._towards_h

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: dh_t through the gates into dz_t, and through Whᵀ and z into dh_{t-1}."""
        xp, WhT, H, fused = namespace(self.Wh), self._WhT, self.Wh.shape[0], self._fused
        if not fused:
            self._local_slopes(slice(first, last))
        dh, through_z = self._flowing["h"], self._through_z
        for t in reversed(range(first, last)):
            towards_x, towards_h, product = self._towards_x[t], self._towards_h[t], self._products[t]
            if fused:
                fused.gru_step_backward(
                    self._dhs[t], product, self._ns[t], self._hs[t], dh, towards_x, towards_h, through_z
                )
                xp.matmul(towards_h, WhT, out=dh)
                xp.add(dh, through_z, out=dh)
                continue
            r, z = product[:, :H], product[:, H : 2 * H]
            dzr, dzz, dzn = towards_x[:, :H], towards_x[:, H : 2 * H], towards_x[:, 2 * H :]
            xp.add(dh, self._dhs[t], out=dh)
            xp.multiply(dh, self._n_slopes[t], out=dzn)
            xp.multiply(dh, self._z_slopes[t], out=dzz)
            xp.multiply(dzn, self._r_slopes[t], out=dzr)
            towards_h[:, : 2 * H] = towards_x[:, : 2 * H]
            xp.multiply(dzn, r, out=towards_h[:, 2 * H :])
            xp.multiply(dh, z, out=through_z)
            xp.matmul(towards_h, WhT, out=dh)
            xp.add(dh, through_z, out=dh)
        self.projection.backward_steps(first, last)

    def _local_slopes(self, span: slice) -> None:
        """Write ∂h/∂z_n, ∂h/∂z_z and ∂z_n/∂z_r of these steps, all at once."""
        H = self.Wh.shape[0]
        xp, minus = namespace(self.Wh), self._minus[span]
        r, z, a = (self._products[span, :, k * H : (k + 1) * H] for k in range(3))
        n, h_prev = self._ns[span], self._hs[span]
        n_slope, z_slope, r_slope = self._n_slopes[span], self._z_slopes[span], self._r_slopes[span]
        xp.subtract(self._one, z, out=minus)
        xp.multiply(n, n, out=n_slope)
        xp.subtract(self._one, n_slope, out=n_slope)
        xp.multiply(n_slope, minus, out=n_slope)
        xp.subtract(h_prev, n, out=z_slope)
        xp.multiply(z_slope, z, out=z_slope)
        xp.multiply(z_slope, minus, out=z_slope)
        xp.subtract(self._one, r, out=minus)
        xp.multiply(a, r, out=r_slope)
        xp.multiply(r_slope, minus, out=r_slope)

    def _write_hidden_gradients(self) -> None:
        super()._write_hidden_gradients()
        self.db_h[...] = as_rows(self._towards_h)[:, 2 * self.Wh.shape[0] :].sum(axis=0)
