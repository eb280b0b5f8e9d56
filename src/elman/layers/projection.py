"""The input side of a recurrent layer, x_t·Wx + b, for many steps in one product."""

from elman.arrays import Array, Buffers, as_rows, namespace, zeros
from elman.errors import ShapeError


class InputProjection:
    """zs = xs·Wx + b for time-major xs (T, N, D): the part of a recurrence that needs no loop.

    ``Wx=None`` means that xs is the product already, (T, N, G): what a row look-up in Wx gives for a
    one-hot input. The steps can be done in spans, in order (see `elman.layers.recurrent`).
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

    def begin(self, xs: Array) -> Array:
        """Take xs (T, N, D), which need not be filled yet; return zs (T, N, G), which `forward_steps` fills."""
        T, N, _ = xs.shape
        self._xs, self._Wx = xs, None if self.Wx is None else self._buffers.operand("Wx", self.Wx)
        self._zs = self._buffers.get("zs", (T, N, self.b.shape[0]), self.b)
        return self._zs

    def forward_steps(self, first: int, last: int) -> None:
        """Write zs of the steps first ≤ t < last."""
        xs, zs = self._xs[first:last], self._zs[first:last]
        xp = namespace(self.b)
        if self._Wx is None:
            xp.add(xs, self.b, out=zs)
        else:
            xp.matmul(as_rows(xs), self._Wx, out=as_rows(zs))
            xp.add(zs, self.b, out=zs)

    def begin_backward(self, dzs: Array) -> Array:
        """Take dzs (T, N, G), which need not be filled yet; return dxs (T, N, D), which `backward_steps` fills."""
        T, N, _ = dzs.shape
        self._dzs = dzs
        self._dxs = dzs if self.Wx is None else self._buffers.get("dxs", (T, N, self.D), self.b)
        return self._dxs

    def backward_steps(self, first: int, last: int) -> None:
        """Write dxs of the steps first ≤ t < last."""
        if self._Wx is not None:
            dzs, dxs = self._dzs[first:last], self._dxs[first:last]
            namespace(self.b).matmul(as_rows(dzs), self._Wx.T, out=as_rows(dxs))

    def write_gradients(self) -> None:
        """Write dWx and db."""
        rows = as_rows(self._dzs)
        self.db[...] = rows.sum(axis=0)
        for dWx in self.weight_grads:
            namespace(self.b).matmul(as_rows(self._xs).T, rows, out=dWx)
