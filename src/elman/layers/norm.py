"""Root mean square normalisation: every row is divided by its root mean square, then scaled column by column.

    n = x·r∘g               r = 1/√(mean(x²) + ε), one number for each row
    dx = r·(d - x̂·mean(d∘x̂))    d = dn∘g    x̂ = x·r               dg = Σ dn∘x̂ over the rows

Source: B. Zhang and R. Sennrich, "Root mean square layer normalization", NeurIPS 2019.
"""

from collections.abc import Callable

from elman.arrays import Array, Buffers, as_rows, batch_major, time_major, zeros
from elman.layers.base import check_gradient, check_sequence
from elman.layers.kernels import kernels_for
from elman.layers.kernels.numpy import NORM_EPS
from elman.one_line import layer_line


class TimeRMSNorm:
    """xs (N, T, D) -> ns (N, T, D), each row normalised, with the gain g (D,) as the weight; ``eps`` is ε.

    With several ``groups``, each is that part of the columns, and normalised by itself.

    The steps can be done in spans: see `elman.layers.recurrent`.
    """

    def __init__(self, gain: Array, eps: float = NORM_EPS, groups: int = 1) -> None:
        self.params, self.eps = [gain], eps
        width = len(gain) // groups
        self._groups = [slice(g * width, (g + 1) * width) for g in range(groups)]
        self.grads = [zeros(tuple(gain.shape), gain)]
        self._buffers = Buffers()

    def __repr__(self) -> str:
        return layer_line(self, len(self.params[0]), len(self.params[0]))

    def forward(self, xs: Array) -> Array:
        """Return ns (N, T, D) for xs (N, T, D)."""
        ns = self.begin(xs)
        self.forward_steps(0, xs.shape[1])
        return ns

    def backward(self, dns: Array) -> Array:
        """Return dxs (N, T, D) for dns (N, T, D), and write dg."""
        dxs = self.begin_backward(dns)
        self.backward_steps(0, dns.shape[1])
        return dxs

    def begin(self, xs: Array) -> Array:
        """Take xs (N, T, D), which may be filled later; return ns (N, T, D), which `forward_steps` fills."""
        (gain,) = self.params
        check_sequence("xs", xs, len(gain))
        self._xs = time_major(xs)  # (T, N, D)
        T, N, D = self._xs.shape
        self._scales = self._buffers.get("scales", (len(self._groups), T, N), gain)  # r
        self._ns = self._buffers.get("ns", (T, N, D), gain)
        return batch_major(self._ns)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last."""
        xs, ns = as_rows(self._xs[first:last]), as_rows(self._ns[first:last])
        for scales, columns in zip(self._scales, self._groups, strict=True):
            kernels_for(xs).norm(
                xs[:, columns],
                self.params[0][columns],
                scales[first:last].reshape(-1),
                ns[:, columns],
                self.eps,
            )

    def end(self) -> None:
        """Do nothing: no state is carried to the next block."""
        return

    def begin_backward(self, dns: Array, besides: Array | None = None) -> Array:
        """Take dns (N, T, D), which may be filled later; return dxs (N, T, D), which `backward_steps` fills.

        ``besides`` (N, T, D), if given, is the gradient that reaches xs on another way, and is added.
        """
        T, N, D = self._xs.shape
        check_gradient(dns, (N, T, D))
        self._dns = time_major(dns)  # (T, N, D)
        self._dxs = self._buffers.get("dxs", (T, N, D), self.params[0])
        self._besides = self._dxs if besides is None else time_major(besides)  # (T, N, D)
        self.grads[0][...] = 0
        return batch_major(self._dxs)

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first."""
        span = slice(first, last)
        if self._besides is self._dxs:
            self._dxs[span] = 0
        xs, dns, besides, dxs = (
            as_rows(array[span]) for array in (self._xs, self._dns, self._besides, self._dxs)
        )
        for scales, columns in zip(self._scales, self._groups, strict=True):
            kernels_for(xs).norm_backward(
                xs[:, columns],
                self.params[0][columns],
                scales[span].reshape(-1),
                dns[:, columns],
                besides[:, columns],
                dxs[:, columns],
                self.grads[0][columns],
                self._buffers,
            )

    def end_backward(self) -> None:
        """Do nothing: no state came in from the block before."""
        return

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return nothing to do: the steps have added up dg."""
        return []
