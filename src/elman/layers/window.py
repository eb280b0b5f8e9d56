"""Windows on a sequence: at every step the word vectors of the last k places, their mean or their concatenation.

A block of T steps comes with the k - 1 vectors before it, so that its first windows are whole too.
"""

from elman.arrays import Array, Buffers, asarray, batch_major, time_major
from elman.errors import ConfigError, ShapeError
from elman.layers.base import check_gradient
from elman.layers.embedding import TimeEmbedding


class TimePaddedEmbedding(TimeEmbedding):
    """`TimeEmbedding` for NumPy ids that may be negative: there is a vector of zeros, no word."""

    def forward(self, ids: Array) -> Array:
        """Return the word vectors (N, L, D) of ids (N, L)."""
        absent = ids < 0
        self._present: Array | None = None
        vectors = super().forward(ids.clip(min=0))
        if absent.any():
            self._present = asarray(~absent[:, :, None], vectors)  # (N, L, 1)
            vectors *= self._present
        return vectors

    def backward(self, dout: Array) -> None:
        """Write the gradient of W for dout (N, L, D)."""
        super().backward(dout if self._present is None else dout * self._present)


class _TimeWindow:
    """What both kinds of window share: xs (N, k - 1 + T, D) has T windows of k steps."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ConfigError(f"a window must be 1 word or more, got {size}")
        self.params: list[Array] = []
        self.grads: list[Array] = []
        self.size = size
        self._buffers = Buffers()

    def _steps(self, xs: Array) -> tuple[Array, int]:
        """Return xs time-major, (k - 1 + T, N, D), and T; note its shape for `backward`."""
        if xs.ndim != 3 or xs.shape[1] < self.size - 1:
            raise ShapeError(
                f"xs must be (N, {self.size - 1} + T, D), the first {self.size - 1} steps being those before "
                f"the block, got {tuple(xs.shape)}"
            )
        steps = time_major(xs)
        self._shape = tuple(steps.shape)
        return steps, self._shape[0] - self.size + 1

    def _dsteps(self, like: Array) -> Array:
        """Return zeros (k - 1 + T, N, D), to which every place adds its gradient."""
        dsteps = self._buffers.get("dsteps", self._shape, like)
        dsteps[...] = 0
        return dsteps


class TimeWindowMean(_TimeWindow):
    """(N, k - 1 + T, D) -> (N, T, D): the mean of each step's vector and the k - 1 before it. Their order is lost."""

    def forward(self, xs: Array) -> Array:
        """Return the mean vectors (N, T, D)."""
        steps, T = self._steps(xs)
        _, N, D = self._shape
        means = self._buffers.get("means", (T, N, D), xs)
        means[...] = steps[:T]
        for place in range(1, self.size):
            means += steps[place : place + T]
        means /= self.size
        return batch_major(means)

    def backward(self, dout: Array) -> Array:
        """Return dxs (N, k - 1 + T, D) for dout (N, T, D)."""
        L, N, D = self._shape
        T = L - self.size + 1
        check_gradient(dout, (N, T, D))
        dsteps, share = self._dsteps(dout), time_major(dout) / self.size
        for place in range(self.size):
            dsteps[place : place + T] += share
        return batch_major(dsteps)


class TimeWindowConcat(_TimeWindow):
    """(N, k - 1 + T, D) -> (N, T, k·D): each step's vector behind the k - 1 before it, the oldest first."""

    def forward(self, xs: Array) -> Array:
        """Return the concatenated vectors (N, T, k·D)."""
        steps, T = self._steps(xs)
        _, N, D = self._shape
        windows = self._buffers.get("windows", (T, N, self.size, D), xs)
        for place in range(self.size):
            windows[:, :, place] = steps[place : place + T]
        return batch_major(windows.reshape(T, N, self.size * D))

    def backward(self, dout: Array) -> Array:
        """Return dxs (N, k - 1 + T, D) for dout (N, T, k·D)."""
        L, N, D = self._shape
        T = L - self.size + 1
        check_gradient(dout, (N, T, self.size * D))
        dsteps, dwindows = self._dsteps(dout), time_major(dout).reshape(T, N, self.size, D)
        for place in range(self.size):
            dsteps[place : place + T] += dwindows[:, :, place]
        return batch_major(dsteps)
