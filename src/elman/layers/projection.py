"""The input side of a recurrent layer, x_t·Wx + b, for all T steps in one product."""

from elman.arrays import Array, Buffers, namespace, zeros
from elman.errors import ShapeError


class InputProjection:
    """zs = xs·Wx + b for time-major xs (T, N, D): the part of a recurrence that needs no loop.

    ``Wx=None`` means that xs is the product already, (T, N, G): what a row look-up in Wx gives for a
    one-hot input.
    """

    def __init__(self, owner: str, Wx: Array | None, b: Array) -> None:
        G = b.shape[0]
        if Wx is not None and (Wx.ndim != 2 or Wx.shape[1] != G):
            raise ShapeError(f"{owner}: Wx must be (D, {G}), got {tuple(Wx.shape)}")
        self.Wx, self.b = Wx, b
        self.D = G if Wx is None else Wx.shape[0]
        self.weights = [] if Wx is None else [Wx]
        self.weight_grads = [zeros(tuple(W.shape), W) for W in self.weights]
        self.db = zeros((G,), b)
        self._buffers = Buffers()

    def forward(self, xs: Array) -> Array:
        """Return zs (T, N, G) for xs (T, N, D)."""
        T, N, D = xs.shape
        G = self.b.shape[0]
        xp = namespace(self.b)
        zs = self._buffers.get("zs", (T, N, G), self.b)
        self._xs = xs
        if self.Wx is None:
            xp.add(xs, self.b, out=zs)
        else:
            xp.matmul(xs.reshape(T * N, D), self.Wx, out=zs.reshape(T * N, G))
            xp.add(zs, self.b, out=zs)
        return zs

    def backward(self, dzs: Array) -> Array:
        """Return dxs (T, N, D) for dzs (T, N, G), and write dWx and db."""
        T, N, G = dzs.shape
        xp = namespace(self.b)
        rows = dzs.reshape(T * N, G)
        self.db[...] = rows.sum(axis=0)
        if self.Wx is None:
            return dzs
        xp.matmul(self._xs.reshape(T * N, self.D).T, rows, out=self.weight_grads[0])
        dxs = self._buffers.get("dxs", (T, N, self.D), self.b)
        xp.matmul(rows, self.Wx.T, out=dxs.reshape(T * N, self.D))
        return dxs
