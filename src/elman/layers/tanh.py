"""The hyperbolic tangent as a layer of its own."""

from elman.arrays import Array, Buffers, batch_major, namespace, time_major
from elman.layers.base import check_gradient


class TimeTanh:
    """(N, T, H) -> tanh of every entry, (N, T, H)."""

    def __init__(self) -> None:
        self.params: list[Array] = []
        self.grads: list[Array] = []
        self._buffers = Buffers()

    def forward(self, xs: Array) -> Array:
        """Return tanh(xs)."""
        steps = time_major(xs)  # (T, N, H)
        self._ys = self._buffers.get("ys", tuple(steps.shape), xs)
        namespace(xs).tanh(steps, out=self._ys)
        return batch_major(self._ys)

    def backward(self, dout: Array) -> Array:
        """Return dxs = dout·(1 - tanh²), (N, T, H)."""
        T, N, H = self._ys.shape
        check_gradient(dout, (N, T, H))
        return batch_major(time_major(dout) * (1 - self._ys * self._ys))
