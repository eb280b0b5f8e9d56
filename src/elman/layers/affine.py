"""The affine layer, which gives the scores of every word at every step, and tanh as a layer.

    y = x·W + b          dx = dy·Wᵀ        dW = Σ xᵀ·dy        db = Σ dy
    y = tanh(x)          dx = dy∘(1 - y²)

Sums are over all sequences and steps of a block.
"""

from elman.arrays import Array, Buffers, batch_major, namespace, time_major, zeros
from elman.layers.base import check_gradient, check_sequence, check_weights
from elman.one_line import layer_line


class TimeAffine:
    """(N, T, H) -> (N, T, V) by one product over N·T rows; W (H, V), b (V,)."""

    def __init__(self, W: Array, b: Array) -> None:
        check_weights("TimeAffine", b=(b, (W.shape[1],)))
        self.params = [W, b]
        self.grads = [zeros(tuple(p.shape), p) for p in self.params]
        self._buffers = Buffers()

    def __repr__(self) -> str:
        return layer_line(self, *self.params[0].shape)

    def forward(self, xs: Array) -> Array:
        """Return xs·W + b, (N, T, V)."""
        W, b = self.params
        H, V = W.shape
        check_sequence("xs", xs, H)
        N, T, _ = xs.shape
        xp = namespace(W)
        self._rows, self._shape = time_major(xs).reshape(T * N, H), (N, T, V)  # rows (T·N, H)
        scores = self._buffers.get("scores", (T, N, V), W)
        xp.matmul(self._rows, W, out=scores.reshape(T * N, V))
        xp.add(scores, b, out=scores)
        return batch_major(scores)

    def backward(self, dout: Array) -> Array:
        """Return dxs (N, T, H) for dout (N, T, V), and write the gradients of W and b."""
        W, _ = self.params
        dW, db = self.grads
        H, V = W.shape
        check_gradient(dout, self._shape)
        N, T, _ = self._shape
        xp = namespace(W)
        rows = time_major(dout).reshape(T * N, V)  # (T·N, V)
        xp.matmul(self._rows.T, rows, out=dW)
        db[...] = rows.sum(axis=0)
        dxs = self._buffers.get("dxs", (T, N, H), W)
        xp.matmul(rows, W.T, out=dxs.reshape(T * N, H))
        return batch_major(dxs)


class TimeTanh:
    """(N, T, H) -> tanh of every entry, (N, T, H)."""

    def __init__(self) -> None:
        self.params: list[Array] = []
        self.grads: list[Array] = []
        self._buffers = Buffers()

    def forward(self, xs: Array) -> Array:
        """Return tanh(xs)."""
        steps = time_major(xs)  # (T, N, H)
        self._ys = self._buffers.get("ys", tuple(steps.shape), xs)  # (T, N, H)
        namespace(xs).tanh(steps, out=self._ys)
        return batch_major(self._ys)

    def backward(self, dout: Array) -> Array:
        """Return dxs = dout·(1 - tanh²), (N, T, H)."""
        T, N, H = self._ys.shape
        check_gradient(dout, (N, T, H))
        return batch_major(time_major(dout) * (1 - self._ys * self._ys))
