"""Products with weights that are added up span by span, and low-rank ones: what the blocks of RWKV are made of."""

from collections.abc import Callable

from elman.arrays import Array, Buffers, as_rows, namespace, zeros

Pointwise = Callable[..., None]


def add_product(a: Array, b: Array, total: Array) -> None:
    """total += a·b."""
    total += namespace(total).matmul(a, b)


class LowRank:
    """us = f(xs·A)·B + c, with matrices A (D, K) and B (K, D) whose K is small; without c if that is None.

    Args:
        f: a function (z, out) of the numbers of xs·A; None for none.
        slope: the function (f(z), out) that writes its derivative.
    """

    def __init__(
        self,
        A: Array,
        B: Array,
        c: Array | None = None,
        f: Pointwise | None = None,
        slope: Pointwise | None = None,
    ) -> None:
        self.params = [A, B] if c is None else [A, B, c]
        self.grads = [zeros(tuple(param.shape), param) for param in self.params]
        self._f, self._slope = f, slope
        self._buffers = Buffers()

    def begin(self, T: int, N: int) -> None:
        """Make the array that `backward` needs besides xs."""
        A = self.params[0]
        self._inner = self._buffers.get("inner", (T, N, A.shape[1]), A)  # f(xs·A)

    def forward(self, span: slice, x: Array, u: Array) -> None:
        """Write u (rows, D) for x (rows, D), of the steps in ``span``."""
        xp, (A, B, *c) = namespace(x), self.params
        inner = as_rows(self._inner[span])  # (rows, K)
        xp.matmul(x, A, out=inner)
        if self._f is not None:
            self._f(inner, out=inner)
        xp.matmul(inner, B, out=u)
        for bias in c:
            u += bias

    def begin_backward(self) -> None:
        """Set the gradients to zero."""
        for grad in self.grads:
            grad[...] = 0

    def backward(self, span: slice, x: Array, du: Array, dx: Array) -> None:
        """Write dx (rows, D) for du (rows, D), of the steps in ``span``, and add to the gradients of the weights."""
        xp, (A, B, *_), (dA, dB, *dc) = namespace(x), self.params, self.grads
        inner = as_rows(self._inner[span])  # (rows, K)
        add_product(inner.T, du, dB)
        for d_bias in dc:
            d_bias += du.sum(axis=0)
        d_inner = xp.matmul(du, B.T)  # (rows, K)
        if self._slope is not None:
            slope = inner + 0  # (rows, K)
            self._slope(inner, out=slope)
            d_inner *= slope
        add_product(x.T, d_inner, dA)
        xp.matmul(d_inner, A.T, out=dx)
