"""The simple recurrent (Elman) network: one step, and T steps with backpropagation through time.

    h_t = tanh(h_{t-1}·Wh + x_t·Wx + b)

Source: J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990).
N sequences, T steps, D input width, H hidden width.
"""

from elman.arrays import Array, namespace, zeros
from elman.layers.base import check_weights
from elman.layers.recurrent import TimeRecurrence

SMALL_BATCH = 2  # whose products a compiled loop makes itself: calling the BLAS would cost more


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


class TimeRNN(TimeRecurrence):
    """T steps of the same cell: forward (N, T, D) -> (N, T, H), backward by truncated BPTT.

    ``stateful=True`` carries the last h into the next block, which is what joins the blocks of
    truncated BPTT in the forward direction; ``False`` starts every block from zeros. ``h`` is the
    state after the last block, ``dh`` the gradient of the loss with respect to the h that came in.
    With ``Wx=None`` the input is already projected, (N, T, H): a one-hot input times Wx is a row of Wx.
    """

    gates = 1
    states = ("h",)

    def __init__(self, Wx: Array | None, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, b, stateful)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last: h_t = tanh(h_{t-1}·Wh + z_t), with z_t = x_t·Wx + b of all of them at once."""
        self.projection.forward_steps(first, last)
        xp, Wh, hs, zs, fused = namespace(self.Wh), self._product_Wh, self._hs, self._zs, self._fused
        if fused and zs.shape[1] <= SMALL_BATCH:
            fused.rnn_steps(zs[first:last], Wh, hs[first : last + 1])
            return
        for h_prev, z, h in zip(hs[first:last], zs[first:last], hs[first + 1 : last + 1], strict=True):
            xp.matmul(h_prev, Wh, out=h)
            if fused:
                fused.rnn_step(z, h)
            else:
                xp.add(h, z, out=h)
                xp.tanh(h, out=h)

    def _prepare_backward(self, T: int, N: int, H: int) -> tuple[Array, Array]:
        self._slopes = self._buffers.get("slopes", (T, N, H), self.Wh)
        self._dzs = self._buffers.get("dzs", (T, N, H), self.Wh)
        return self._dzs, self._dzs

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first: dz_t = (dh_t + dz_{t+1}·Whᵀ)∘(1 - h_t²)."""
        xp, WhT, dh, fused = namespace(self.Wh), self._WhT, self._flowing["h"], self._fused
        span, hs = slice(first, last), self._hs
        dhs, dzs, slopes = self._dhs[span], self._dzs[span], self._slopes[span]
        if fused and dh.shape[0] <= SMALL_BATCH:
            fused.rnn_steps_backward(dhs, hs[first : last + 1], WhT, dh, dzs)
        else:
            after = hs[first + 1 : last + 1]
            if not fused:
                xp.multiply(after, after, out=slopes)
                xp.subtract(self._one, slopes, out=slopes)  # tanh' = 1 - tanh²
            for t in reversed(range(last - first)):
                if fused:
                    fused.rnn_step_backward(dhs[t], after[t], dh, dzs[t])
                else:
                    xp.add(dh, dhs[t], out=dzs[t])
                    xp.multiply(dzs[t], slopes[t], out=dzs[t])
                xp.matmul(dzs[t], WhT, out=dh)
        self.projection.backward_steps(first, last)
