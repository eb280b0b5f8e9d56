"""Layer normalisation: every row is centred and divided by its standard deviation, then scaled and shifted.

    x̂ = (x - mean(x))·r            r = 1/√(mean((x - mean(x))²) + ε), one number for each row
    n = x̂∘g + b
    dx = r·(d - mean(d) - x̂·mean(d∘x̂))       d = dn∘g       dg = Σ dn∘x̂ and db = Σ dn over the rows

With several ``groups`` the columns are cut into as many parts, and each part of a row has its own mean and r.

Sources: J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization" (2016); groups: Y. Wu and K. He, "Group
normalization", ECCV 2018.
"""

from elman.arrays import Array, Buffers, namespace, zeros
from elman.layers.base import check_weights
from elman.one_line import layer_line

EPS = 1e-5


class TimeLayerNorm:
    """xs -> ns, both time-major (T, N, D), with the gain g (D,) and the bias b (D,) as weights.

    The steps can be done in spans: see `elman.layers.recurrent`.
    """

    def __init__(self, gain: Array, bias: Array, groups: int = 1, eps: float = EPS) -> None:
        check_weights("TimeLayerNorm", bias=(bias, tuple(gain.shape)))
        self.params, self.grads = [gain, bias], [zeros(tuple(gain.shape), gain) for _ in range(2)]
        self.groups, self.eps = groups, eps
        self._buffers = Buffers()

    def __repr__(self) -> str:
        return layer_line(self, len(self.params[0]), len(self.params[0]))

    def begin(self, xs: Array, out: Array | None = None) -> Array:
        """Take xs (T, N, D), which may be filled later; return ns (T, N, D), ``out`` if that is given."""
        T, N, D = xs.shape
        gain = self.params[0]
        self._xs = xs
        self._centred = self._buffers.get("centred", (T, N, D), gain)  # x̂
        self._scales = self._buffers.get("scales", (T, N, self.groups), gain)  # r
        self._ns = self._buffers.get("ns", (T, N, D), gain) if out is None else out
        return self._ns

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last."""
        xp, span = namespace(self._ns), slice(first, last)
        gain, bias = self.params
        x, centred, n = map(self._grouped, (self._xs[span], self._centred[span], self._ns[span]))
        d = x.shape[2]
        xp.subtract(x, x.sum(axis=2)[:, :, None] / d, out=centred)
        xp.multiply(centred, centred, out=n)
        scales = self._scales[span].reshape(-1, self.groups)  # (rows, groups)
        scales[...] = (n.sum(axis=2) / d + self.eps) ** -0.5
        centred *= scales[:, :, None]
        ns = self._ns[span]
        xp.multiply(self._centred[span], gain, out=ns)
        ns += bias

    def begin_backward(self, dns: Array, besides: Array | None = None) -> Array:
        """Take dns (T, N, D), which may be filled later; return dxs (T, N, D), which `backward_steps` fills.

        ``besides`` (T, N, D), if given, is the gradient that reaches xs on another way, and is added.
        """
        self._dns, self._besides = dns, besides
        self._dxs = self._buffers.get("dxs", tuple(self._xs.shape), self.params[0])
        for grad in self.grads:
            grad[...] = 0
        return self._dxs

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first, and add to dg and db."""
        xp, span = namespace(self._dxs), slice(first, last)
        dns, dxs = self._dns[span], self._dxs[span]
        dgain, dbias = self.grads
        dgain += (dns * self._centred[span]).sum(axis=(0, 1))
        dbias += dns.sum(axis=(0, 1))
        xp.multiply(dns, self.params[0], out=dxs)
        d, centred = self._grouped(dxs), self._grouped(self._centred[span])
        width = d.shape[2]
        along = (d * centred).sum(axis=2)[:, :, None] / width  # (rows, groups, 1)
        d -= d.sum(axis=2)[:, :, None] / width
        d -= centred * along
        d *= self._scales[span].reshape(-1, self.groups)[:, :, None]
        if self._besides is not None:
            dxs += self._besides[span]

    def _grouped(self, xs: Array) -> Array:
        """Return contiguous xs (T, N, D) as its (T·N, groups, D / groups) view."""
        T, N, D = xs.shape
        return xs.reshape(T * N, self.groups, D // self.groups)
