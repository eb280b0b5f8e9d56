"""Gated recurrent unit (GRU): one step, and T steps with backpropagation through time.

    r, z = σ(x_t·Wx_{r,z} + h_{t-1}·Wh_{r,z} + b_{r,z})
    a    = h_{t-1}·Wh_n + b_h              n = tanh(x_t·Wx_n + b_n + r∘a)
    h_t  = (1 - z)∘n + z∘h_{t-1}

    dz_n = dh_t∘(1 - z)∘(1 - n²)           dz_z = dh_t∘(h_{t-1} - n)∘z∘(1 - z)       dz_r = dz_n∘a∘r∘(1 - r)
    dx_t = (dz_r, dz_z, dz_n)·Wxᵀ          dh_{t-1} = (dz_r, dz_z, dz_n∘r)·Whᵀ + dh_t∘z

The columns of Wx (D, 3H), Wh (H, 3H) and b (3H,) hold r, z, n (reset, update, candidate), each H wide, in PyTorch's
order. As in PyTorch (and in ONNX with ``linear_before_reset=1``), the reset gate acts after the product, so that one
product serves all three. ``b_h`` (H,) is the bias inside the reset, and is optional. PyTorch's other two hidden biases
are added to b.

Source: K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014.
"""

from elman.arrays import Array, as_rows, batch_major, namespace, zeros
from elman.layers.base import Weight, check_weights
from elman.layers.kernels import kernels_for
from elman.layers.lstm import sigmoid
from elman.layers.recurrent import TimeDenseRecurrence
from elman.one_line import layer_line


class GRU:
    """One step, written as in the equations: ``Wx`` (D, 3H), ``Wh`` (H, 3H), ``b`` (3H,), ``b_h`` (H,)."""

    def __init__(self, Wx: Array, Wh: Array, b: Array, b_h: Array | None = None) -> None:
        H = Wh.shape[0]
        check_weights("GRU", Wx=(Wx, (Wx.shape[0], 3 * H)), Wh=(Wh, (H, 3 * H)), b=(b, (3 * H,)))
        if b_h is not None:
            check_weights("GRU", b_h=(b_h, (H,)))
        self.params = [Wx, Wh, b] if b_h is None else [Wx, Wh, b, b_h]
        self.grads = [zeros(tuple(p.shape), p) for p in self.params]

    def __repr__(self) -> str:
        return layer_line(self, self.params[0].shape[0], self.params[1].shape[0])

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
        dzx = concatenate((dzr, dzz, dzn), 1)  # (N, 3H), for the product with x
        dzh = concatenate((dzr, dzz, dzn * r), 1)  # (N, 3H), for the product with h
        self.grads[0][...] = x.T @ dzx
        self.grads[1][...] = h_prev.T @ dzh
        self.grads[2][...] = dzx.sum(axis=0)
        if len(self.params) == 4:
            self.grads[3][...] = (dzn * r).sum(axis=0)
        return dzx @ Wx.T, dzh @ Wh.T + dh_next * z


class TimeGRU(TimeDenseRecurrence):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful``, ``h``, ``dh``, ``set_state`` and ``Wx=None`` are as in TimeRNN.
    """

    gates = 3
    states = ("h",)
    gate_names = ("r", "z", "n")

    def __init__(
        self, Wx: Array | None, Wh: Array, b: Array, b_h: Array | None = None, stateful: bool = False
    ) -> None:
        super().__init__(Wx, Wh, b, stateful)
        self.b_h, self.db_h = b_h, zeros((Wh.shape[0],), Wh)  # (H,)
        if b_h is not None:
            check_weights("TimeGRU", b_h=(b_h, (Wh.shape[0],)))
            self.params.append(b_h)
            self.grads.append(self.db_h)

    @classmethod
    def plan(cls, D: int, H: int) -> dict[str, Weight]:
        """Return Wx (D, 3H), Wh (H, 3H), b (3H,) and b_h (H,); the update gate begins open."""
        return {**super().plan(D, H), "b_h": Weight((H,))}

    def _prepare(self, T: int, N: int, H: int) -> None:
        self._products = self._buffers.get(
            "products", (T, N, 3 * H), self.Wh
        )  # h·Wh, then r, z and a in place
        self._ns = self._buffers.get("ns", (T, N, H), self.Wh)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: x_t·Wx + b of all of them in one product, then r, z, a, n_t and h_t."""
        self.projection.forward_steps(first, last)
        kernels_for(self.Wh).gru_forward(
            first,
            last,
            self._zs,
            self._product_Wh,
            self.b_h,
            self._hs,
            self._products,
            self._ns,
            self._buffers,
        )

    @property
    def inside(self) -> dict[str, Array]:
        """The state h, gates r and z and candidate n of the last `forward`: (N, T, H) each, valid as long as hs."""
        H, products = self.Wh.shape[0], batch_major(self._products)
        r, z = products[:, :, :H], products[:, :, H : 2 * H]
        return {**super().inside, "r": r, "z": z, "n": batch_major(self._ns)}

    def _prepare_gradients(self, T: int, N: int, H: int) -> tuple[Array, Array]:
        self._towards_x = self._buffers.get("towards_x", (T, N, 3 * H), self.Wh)
        self._towards_h = self._buffers.get("towards_h", (T, N, 3 * H), self.Wh)
        return self._towards_x, self._towards_h

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: dz_t and dh_{t-1} step by step, then dx_t of all of them in one product."""
        kernels_for(self.Wh).gru_backward(
            first,
            last,
            self._dhs,
            self._hs,
            self._products,
            self._ns,
            self._WhT,
            self._flowing["h"],
            self._towards_x,
            self._towards_h,
            self._buffers,
        )
        self.projection.backward_steps(first, last)

    def _write_hidden_gradients(self) -> None:
        super()._write_hidden_gradients()
        self.db_h[...] = as_rows(self._towards_h)[:, 2 * self.Wh.shape[0] :].sum(axis=0)
