"""A short causal convolution over the steps, each column for itself, with silu after it.

    a_t = b + Σ_k W[k]∘u_{t-K+1+k}        v_t = silu(a_t)        silu(a) = a∘σ(a)
    da_t = dv_t∘(σ(a_t) + v_t∘(1 - σ(a_t)))
    du_t = Σ_k W[k]∘da_{t+K-1-k}        dW[k] = Σ_t da_t∘u_{t-K+1+k}        db = Σ_t da_t

The last K - 1 inputs are carried to the next block.
"""

from elman.arrays import Array, Buffers, batch_major, namespace, time_major, zeros
from elman.layers.base import check_weights
from elman.layers.kernels import kernels_for


class TimeConvolution:
    """us (N, T, C) -> vs (N, T, C), span by span, with weights W (K, C) and b (C,)."""

    def __init__(self, W: Array, b: Array) -> None:
        self.K, self.C = W.shape
        check_weights("TimeConvolution", b=(b, (self.C,)))
        self.params = [W, b]
        self.grads = [zeros(tuple(weight.shape), weight) for weight in self.params]
        self._buffers = Buffers()

    def begin(self, us: Array, before: Array | None) -> Array:
        """Take us (N, T, C), which may be filled later; return vs (N, T, C), which `forward_steps` fills.

        ``before`` (N, (K - 1)·C) are the inputs before the first step; None stands for zeros.
        """
        _, b = self.params
        self._us = time_major(us)  # (T, N, C)
        T, N, C = self._us.shape
        self._before = self._buffers.get("before", (self.K - 1, N, C), b)
        self._before[...] = 0 if before is None else before.reshape(N, self.K - 1, C).swapaxes(0, 1)
        self._sigmas = self._buffers.get("sigmas", (T, N, C), b)
        self._vs = self._buffers.get("vs", (T, N, C), b)
        return batch_major(self._vs)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last."""
        kernels_for(self._us).convolve(
            first, last, self._before, self._us, *self.params, self._sigmas, self._vs
        )

    def last_inputs(self) -> Array:
        """Return a copy of the inputs that the next block needs, (N, (K - 1)·C)."""
        both = namespace(self._us).concatenate((self._before, self._us[-self.K :]))
        last = both[len(both) - self.K + 1 :].swapaxes(0, 1) + 0  # (N, K - 1, C)
        return last.reshape(last.shape[0], -1)

    def begin_backward(self, dvs: Array) -> Array:
        """Take dvs (T, N, C), which may be filled later; return dus (N, T, C), which `backward_steps` fills."""
        self._dvs = dvs
        self._dsums = self._buffers.get("dsums", tuple(self._us.shape), self._us)
        self._dus = self._buffers.get("dus", tuple(self._us.shape), self._us)
        return batch_major(self._dus)

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first."""
        kernels_for(self._us).convolve_backward(
            first, last, self._dvs, self._vs, self._sigmas, self.params[0], self._dsums, self._dus
        )

    def input_gradients(self) -> Array:
        """Return the gradient of the inputs that came in, (N, (K - 1)·C)."""
        (W, _), T = self.params, len(self._us)
        found = zeros(tuple(self._before.shape), self._before)  # (K - 1, N, C)
        for k in range(1, self.K):  # steps back
            steps = min(k, T)
            at = self.K - 1 - k
            found[at : at + steps] += self._dsums[:steps] * W[at]
        found = batch_major(found) + 0  # (N, K - 1, C)
        return found.reshape(found.shape[0], -1)

    def write_gradients(self) -> None:
        """Write dW and db."""
        dW, db = self.grads
        db[...] = self._dsums.sum(axis=(0, 1))
        T = len(self._us)
        work = self._buffers.get("work", tuple(self._us.shape), self._us)
        for k in range(self.K):  # steps back
            inner, at = min(k, T), self.K - 1 - k
            xp = namespace(work)
            xp.multiply(self._dsums[:inner], self._before[at : at + inner], out=work[:inner])
            xp.multiply(self._dsums[inner:], self._us[: T - inner], out=work[inner:])
            dW[at] = work.sum(axis=(0, 1))
