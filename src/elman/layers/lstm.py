"""Long short-term memory (LSTM): one step, and T steps with backpropagation through time.

    i, f, o = σ(z_i), σ(z_f), σ(z_o)     g = tanh(z_g)     z = h_{t-1}·Wh + x_t·Wx + b
    c_t = f∘c_{t-1} + i∘g                h_t = o∘tanh(c_t)

    dc_t += dh_t∘o∘(1 - tanh(c_t)²)
    dz_i = dc_t∘g∘i∘(1 - i)              dz_f = dc_t∘c_{t-1}∘f∘(1 - f)
    dz_g = dc_t∘i∘(1 - g²)               dz_o = dh_t∘tanh(c_t)∘o∘(1 - o)
    dc_{t-1} = dc_t∘f                    dh_{t-1} = dz·Whᵀ          dx_t = dz·Wxᵀ

The columns of Wx (D, 4H), Wh (H, 4H) and b (4H,) hold the gates in the order i, f, g, o (input,
forget, candidate, output), each H wide: PyTorch's order. There is one bias, the sum of PyTorch's two.

Sources: S. Hochreiter and J. Schmidhuber, Neural Computation 9 (1997); F. Gers, J. Schmidhuber and
F. Cummins, Neural Computation 12 (2000), for the forget gate.
"""

from elman.arrays import Array, batch_major, namespace, zeros
from elman.layers.base import check_weights
from elman.layers.kernels import kernels_for
from elman.layers.recurrent import TimeDenseRecurrence
from elman.one_line import layer_line


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)) as ½·tanh(½z) + ½, which cannot overflow."""
    return namespace(z).tanh(z * 0.5) * 0.5 + 0.5


class LSTM:
    """One step, written as in the equations: ``Wx`` (D, 4H), ``Wh`` (H, 4H), ``b`` (4H,)."""

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        H = Wh.shape[0]
        check_weights("LSTM", Wx=(Wx, (Wx.shape[0], 4 * H)), Wh=(Wh, (H, 4 * H)), b=(b, (4 * H,)))
        self.params = [Wx, Wh, b]
        self.grads = [zeros(tuple(p.shape), p) for p in self.params]

    def __repr__(self) -> str:
        return layer_line(self, self.params[0].shape[0], self.params[1].shape[0])

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


class TimeLSTM(TimeDenseRecurrence):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful=True`` carries h and c into the next block. ``dh`` and ``dc`` are the gradients of the loss with respect
    to the h and c that came in. With ``Wx=None`` the input is x·Wx already, (N, T, 4H).
    """

    c: Array | None
    dc: Array | None
    gates = 4
    states = ("h", "c")
    gate_names = ("i", "f", "g", "o")

    def _prepare(self, T: int, N: int, H: int) -> None:
        self._cs = self._carried["c"]  # (T + 1, N, H)
        self._tanh_cs = self._buffers.get("tanh_cs", (T, N, H), self.Wh)
        self._gates = self._buffers.get("gates", (T, N, 4 * H), self.Wh)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: x_t·Wx + b of all of them in one product, then the gates, c_t and h_t."""
        self.projection.forward_steps(first, last)
        kernels_for(self.Wh).lstm_forward(
            first,
            last,
            self._zs,
            self._product_Wh,
            self._hs,
            self._cs,
            self._tanh_cs,
            self._gates,
            self._buffers,
        )

    @property
    def inside(self) -> dict[str, Array]:
        """The states h and c and the gates i, f, g, o of the last `forward`: (N, T, H) each, valid as long as hs."""
        H, gates = self.Wh.shape[0], batch_major(self._gates)
        named = {name: gates[:, :, k * H : (k + 1) * H] for k, name in enumerate(self.gate_names)}
        return {**super().inside, **named}

    def _prepare_gradients(self, T: int, N: int, H: int) -> tuple[Array, Array]:
        self._dzs = self._buffers.get("dzs", (T, N, 4 * H), self.Wh)
        return self._dzs, self._dzs

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: dz_t, dc_{t-1}, dh_{t-1}, then dx_t of all of them in one product."""
        kernels_for(self.Wh).lstm_backward(
            first,
            last,
            self._dhs,
            self._cs,
            self._tanh_cs,
            self._gates,
            self._WhT,
            self._flowing["h"],
            self._flowing["c"],
            self._dzs,
            self._buffers,
        )
        self.projection.backward_steps(first, last)
