"""The simple recurrent (Elman) network: one step, and T steps with backpropagation through time.

    h_t = tanh(h_{t-1}·Wh + x_t·Wx + b)

Source: J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990).
N lanes, T steps, D input width, H hidden width.
"""

from elman.arrays import Array, Buffers, batch_major, contiguous, namespace, time_major, zeros
from elman.layers.base import check_gradient, check_sequence, check_state, check_weights, copied_state
from elman.layers.projection import InputProjection


class RNN:
    """One step of the recurrence, as the equations read. ``Wx`` (D, H), ``Wh`` (H, H), ``b`` (H,)."""

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        H = Wh.shape[0]
        check_weights("RNN", Wx=(Wx, (Wx.shape[0], H)), Wh=(Wh, (H, H)), b=(b, (H,)))
        self.params = [Wx, Wh, b]
        self.grads = [zeros(tuple(p.shape), p) for p in self.params]

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


class TimeRNN:
    """T steps of the same cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful=True`` carries the last h into the next block, which is what joins the blocks of
    truncated BPTT in the forward direction; ``False`` starts every block from zeros. ``h`` is the
    state after the last block, ``dh`` the gradient of the loss with respect to the h that came in.
    With ``Wx=None`` the input is already projected, (N, T, H): a one-hot input times Wx is a row of Wx.
    """

    def __init__(self, Wx: Array | None, Wh: Array, b: Array, stateful: bool = False) -> None:
        H = Wh.shape[0]
        check_weights("TimeRNN", Wh=(Wh, (H, H)), b=(b, (H,)))
        self.projection = InputProjection("TimeRNN", Wx, b)
        dWh = zeros((H, H), Wh)
        self.params = [*self.projection.weights, Wh, b]
        self.grads = [*self.projection.weight_grads, dWh, self.projection.db]
        self.Wh, self.dWh = Wh, dWh
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
        zs = self.projection.forward(time_major(xs))  # (T, N, H), x_t·Wx + b of the whole block
        hs = buffers.get("hs", (T + 1, N, H), self.Wh)  # hs[0] is the incoming state
        if self.stateful and self.h is not None:
            check_state("h", self.h, N, H)
            hs[0] = self.h
        else:
            hs[0] = 0
        for t in range(T):
            h = hs[t + 1]
            xp.matmul(hs[t], self.Wh, out=h)
            xp.add(h, zs[t], out=h)
            xp.tanh(h, out=h)
        self._hs = hs
        self.h = hs[T] + 0  # a copy: the buffer is written again
        return batch_major(hs[1:])

    def backward(self, dhs: Array) -> Array:
        """Return dxs (N, T, D) for dhs (N, T, H), and write the gradients summed over the block."""
        hs = self._hs
        T, N, H = hs.shape[0] - 1, hs.shape[1], hs.shape[2]
        check_gradient(dhs, (N, T, H))
        xp, buffers = namespace(self.Wh), self._buffers
        dhs = time_major(dhs)
        slope = buffers.get("slope", (T, N, H), self.Wh)  # tanh' = 1 - h²
        xp.multiply(hs[1:], hs[1:], out=slope)
        xp.subtract(slope, 1, out=slope)
        xp.multiply(slope, -1, out=slope)
        dzs = buffers.get("dzs", (T, N, H), self.Wh)
        dh = buffers.get("dh", (N, H), self.Wh)  # what flows back from step t+1
        dh[...] = 0
        WhT = contiguous(self.Wh.T)  # one copy a block; the untransposed product is the faster one
        for t in reversed(range(T)):
            dz = dzs[t]
            xp.add(dh, dhs[t], out=dz)
            xp.multiply(dz, slope[t], out=dz)
            xp.matmul(dz, WhT, out=dh)
        rows = dzs.reshape(T * N, H)
        self.dh = dh + 0
        xp.matmul(hs[:T].reshape(T * N, H).T, rows, out=self.dWh)
        return batch_major(self.projection.backward(dzs))

    def set_state(self, h: Array) -> None:
        """Set the incoming state (N, H) of the next block; only a stateful layer reads it."""
        self.h = copied_state(h, self.Wh)

    def reset_state(self) -> None:
        """Forget the carried state: the next block starts from zeros."""
        self.h = None
