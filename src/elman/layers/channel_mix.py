"""Channel mix of RWKV: an MLP with squared rectified units, which sees the step before through a token shift.

    k = x_k·Wk        y = relu(k)²·Wv        and, where there is a Wr,  y = σ(x_r·Wr)∘(relu(k)²·Wv)
    dk = 2·relu(k)∘(dy·Wvᵀ)        with g = σ(x_r·Wr):  the gradient of the product is dy∘g, dz_r = dy∘(y/g)∘g∘(1 - g)

Sources: B. Peng et al., "RWKV: reinventing RNNs for the transformer era" (2023), with Wr; B. Peng et al., "RWKV-7
'Goose' with expressive dynamic state evolution" (2025), without it.
"""

from elman.arrays import Array, Buffers, as_rows, namespace, zeros
from elman.layers.kernels.numpy import sigmoid, sigmoid_slope
from elman.layers.products import add_product
from elman.layers.token_shift import TokenShift


class ChannelMix:
    """xs -> ys, both time-major (T, N, D): the weights are the mixes x_k and x_r (D,), Wk (D, M), Wv (M, D), Wr (D, D).

    x_r and Wr are both there or both None. The last x is carried from block to block.
    """

    def __init__(
        self, x_k: Array, Wk: Array, Wv: Array, x_r: Array | None = None, Wr: Array | None = None
    ) -> None:
        self.shift = TokenShift(x_k) if x_r is None else TokenShift(x_k, x_r)
        self.matrices = [Wk, Wv] if Wr is None else [Wk, Wv, Wr]
        self.d_matrices = [zeros(tuple(W.shape), W) for W in self.matrices]
        self.params = [*self.shift.params, *self.matrices]
        self.grads = [*self.shift.grads, *self.d_matrices]
        self._gated = Wr is not None
        self._buffers = Buffers()

    def begin(self, T: int, N: int, before: Array | None) -> tuple[Array, Array]:
        """Take the last x (N, D) of the block before; return xs (T, N, D), to be filled, and ys (T, N, D)."""
        xs = self.shift.begin(T, N, before)
        D, M = self.matrices[0].shape
        self._relu = self._buffers.get("relu", (T, N, M), xs)
        self._square = self._buffers.get("square", (T, N, M), xs)
        self._ys = self._buffers.get("ys", (T, N, D), xs)
        if self._gated:
            self._gates = self._buffers.get("gates", (T, N, D), xs)
            self._products = self._buffers.get("products", (T, N, D), xs)  # relu(k)²·Wv
        return xs, self._ys

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last."""
        xp, span = namespace(self._ys), slice(first, last)
        self.shift.forward_steps(first, last)
        relu, square, y = (as_rows(array[span]) for array in (self._relu, self._square, self._ys))
        xp.matmul(as_rows(self.shift.ys[0, span]), self.matrices[0], out=relu)
        xp.clip(relu, 0.0, None, out=relu)
        xp.multiply(relu, relu, out=square)
        if not self._gated:
            xp.matmul(square, self.matrices[1], out=y)
            return
        product, gate = as_rows(self._products[span]), as_rows(self._gates[span])
        xp.matmul(square, self.matrices[1], out=product)
        xp.matmul(as_rows(self.shift.ys[1, span]), self.matrices[2], out=gate)
        sigmoid(gate, out=gate)
        xp.multiply(product, gate, out=y)

    def begin_backward(self, dys: Array) -> Array:
        """Take dys (T, N, D), which may be filled later; return dxs (T, N, D), which `backward_steps` fills."""
        self._dys = dys
        _, dxs = self.shift.begin_backward()
        for grad in self.d_matrices:
            grad[...] = 0
        return dxs

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first, and add to the gradients of the weights."""
        xp, span = namespace(self._ys), slice(first, last)
        dy, relu, square = (as_rows(array[span]) for array in (self._dys, self._relu, self._square))
        x_k, dx_k = as_rows(self.shift.ys[0, span]), as_rows(self.shift.dys[0, span])
        if self._gated:
            product, gate = as_rows(self._products[span]), as_rows(self._gates[span])
            slope = gate + 0  # (rows, D)
            sigmoid_slope(gate, out=slope)
            slope *= dy * product
            add_product(as_rows(self.shift.ys[1, span]).T, slope, self.d_matrices[2])
            xp.matmul(slope, self.matrices[2].T, out=as_rows(self.shift.dys[1, span]))
            dy = dy * gate  # (rows, D)
        add_product(square.T, dy, self.d_matrices[1])
        dk = xp.matmul(dy, self.matrices[1].T)  # (rows, M)
        dk *= relu
        dk *= 2
        add_product(x_k.T, dk, self.d_matrices[0])
        xp.matmul(dk, self.matrices[0].T, out=dx_k)
        self.shift.backward_steps(first, last)
