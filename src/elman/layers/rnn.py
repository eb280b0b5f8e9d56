"""The simple recurrent (Elman) network: one step, and T steps with backpropagation through time.

    h_t      = tanh(h_{t-1}·Wh + x_t·Wx + b)

    dz_t     = dh_t∘(1 - h_t²)                   tanh' = 1 - tanh²
    dh_{t-1} = dz_t·Whᵀ                          dx_t = dz_t·Wxᵀ
    dWh      = Σ_t h_{t-1}ᵀ·dz_t                 dWx = Σ_t x_tᵀ·dz_t        db = Σ_t dz_t

Source: J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990).
N sequences, T steps, D input width, H hidden width.
"""

from elman.arrays import Array, namespace, zeros
from elman.layers.base import check_weights
from elman.layers.kernels import kernels_for
from elman.layers.recurrent import TimeDenseRecurrence
from elman.one_line import layer_line


class RNN:
    """One step, written as in the equations: ``Wx`` (D, H), ``Wh`` (H, H), ``b`` (H,)."""

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        H = Wh.shape[0]
        check_weights("RNN", Wx=(Wx, (Wx.shape[0], H)), Wh=(Wh, (H, H)), b=(b, (H,)))
        self.params = [Wx, Wh, b]
        self.grads = [zeros(tuple(p.shape), p) for p in self.params]

    def __repr__(self) -> str:
        return layer_line(self, *self.params[0].shape)

    def forward(self, x: Array, h_prev: Array) -> Array:
        """Return h_next (N, H) for x (N, D) and h_prev (N, H)."""
        Wx, Wh, b = self.params
        h_next = namespace(Wh).tanh(h_prev @ Wh + x @ Wx + b)
        self.cache = x, h_prev, h_next
        return h_next

    def backward(self, dh_next: Array) -> tuple[Array, Array]:
        """Return dx (N, D) and dh_prev (N, H) for dh_next (N, H)."""
        Wx, Wh, _ = self.params
        x, h_prev, h_next = self.cache
        dz = dh_next * (1 - h_next * h_next)  # tanh' = 1 - tanh²
        dWx, dWh, db = self.grads
        dWx[...] = x.T @ dz
        dWh[...] = h_prev.T @ dz
        db[...] = dz.sum(axis=0)
        return dz @ Wx.T, dz @ Wh.T


class TimeRNN(TimeDenseRecurrence):
    """T steps of the cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful=True`` carries the last h into the next block, so that the blocks of truncated BPTT are read as one text;
    ``False`` starts every block from zeros. ``h`` is the state after the last block, ``dh`` the gradient of the loss
    with respect to the h that came in. With ``Wx=None`` the input is x·Wx already, (N, T, H): for a one-hot x that is
    a row of Wx.
    """

    gates = 1
    states = ("h",)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: z_t = x_t·Wx + b of all of them in one product, then h_t step by step."""
        self.projection.forward_steps(first, last)
        kernels_for(self.Wh).rnn_forward(first, last, self._zs, self._product_Wh, self._hs)

    def _prepare_gradients(self, T: int, N: int, H: int) -> tuple[Array, Array]:
        self._dzs = self._buffers.get("dzs", (T, N, H), self.Wh)
        return self._dzs, self._dzs

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: dz_t and dh_{t-1} step by step, then dx_t of all of them in one product."""
        kernels_for(self.Wh).rnn_backward(
            first, last, self._dhs, self._hs, self._WhT, self._flowing["h"], self._dzs
        )
        self.projection.backward_steps(first, last)
