"""Windows on a sequence: at every step, the mean or the concatenation of the last k word vectors.

The input of a block of T steps includes the k - 1 vectors before it, so that its first windows are complete too.
"""

from elman.arrays import Array, Buffers, asarray, batch_major, time_major
from elman.errors import ConfigError, ShapeError
from elman.layers.base import check_gradient
from elman.layers.embedding import TimeEmbedding


class TimePaddedEmbedding(TimeEmbedding):
    """`TimeEmbedding` for NumPy ids that may be negative: no word, which gives a vector of zeros."""

    def forward(self, ids: Array) -> Array:
        """Return the word vectors (N, L, D) of ids (N, L)."""
        absent = ids < 0  # (N, L)
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
    """The common part of both kinds of window: xs (N, k - 1 + T, D) has T windows of k steps."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ConfigError(f"the window size must be ≥ 1, got {size}")
        self.params: list[Array] = []
        self.grads: list[Array] = []
        self.size = size
        self._buffers = Buffers()

    def _steps(self, xs: Array) -> tuple[Array, int]:
        """Return xs time-major, (k - 1 + T, N, D), and T; keep its shape for `backward`."""
        if xs.ndim != 3 or xs.shape[1] < self.size - 1:
            raise ShapeError(
                f"xs must be (N, {self.size - 1} + T, D), where the first {self.size - 1} steps come before the block, "
                f"got {tuple(xs.shape)}"
            )
        steps = time_major(xs)
        self._shape = tuple(steps.shape)
        return steps, self._shape[0] - self.size + 1

    def _dsteps(self, like: Array) -> Array:
        """Return zeros (k - 1 + T, N, D), to which every place of the window adds its gradient."""
        dsteps = self._buffers.get("dsteps", self._shape, like)  # (k - 1 + T, N, D)
        dsteps[...] = 0
        return dsteps


class TimeWindowMean(_TimeWindow):
    """(N, k - 1 + T, D) -> (N, T, D): the mean of each step's vector and the k - 1 before it, without their order."""

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
        dsteps, each = self._dsteps(dout), time_major(dout) / self.size  # each (T, N, D)
        for place in range(self.size):
            dsteps[place : place + T] += each
        return batch_major(dsteps)


class TimeWindowConcat(_TimeWindow):
    """(N, k - 1 + T, D) -> (N, T, k·D): the k - 1 vectors before each step and its own, the oldest first."""

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
        dsteps, dwindows = self._dsteps(dout), time_major(dout).reshape(T, N, self.size, D)  # (T, N, k, D)
        for place in range(self.size):
            dsteps[place : place + T] += dwindows[:, :, place]
        return batch_major(dsteps)
