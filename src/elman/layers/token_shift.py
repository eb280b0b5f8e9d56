"""Token shift: a step sees its own input and that of the step before, mixed column by column.

    y_m = x_t + (x_{t-1} - x_t)∘μ_m          for several mixes m
    dμ_m = Σ dy_m∘(x_{t-1} - x_t)            dx_t = Σ_m dy_m∘(1 - μ_m), and Σ_m dy_m∘μ_m from step t + 1

Where μ is 0 the step before is not seen, where it is 1 only the step before is.

Source: B. Peng et al., "RWKV: reinventing RNNs for the transformer era" (2023), where the mixes are 1 - μ.
"""

from elman.arrays import Array, Buffers, namespace, zeros


class TokenShift:
    """xs -> ys (M, T, N, D), time-major, for M mixes μ (D,), with the last x carried from block to block.

    The steps can be done in spans: see `elman.layers.recurrent`.
    """

    def __init__(self, *mixes: Array) -> None:
        self.params = list(mixes)
        self.grads = [zeros(tuple(mix.shape), mix) for mix in mixes]
        self._buffers = Buffers()

    def begin(self, T: int, N: int, before: Array | None) -> Array:
        """Take the last x (N, D) of the block before; return xs (T, N, D), to be filled before `forward_steps`."""
        like = self.params[0]
        D, M = len(like), len(self.params)
        self._history = self._buffers.get("history", (T + 1, N, D), like)
        self._history[0] = 0 if before is None else before
        self.ys = self._buffers.get("ys", (M, T, N, D), like)
        return self._history[1:]

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last."""
        xp = namespace(self.ys)
        xs, change = self._history[first + 1 : last + 1], self._changes(first, last)
        for mix, ys in zip(self.params, self.ys, strict=True):
            xp.multiply(change, mix, out=ys[first:last])
            ys[first:last] += xs

    @property
    def last(self) -> Array:
        """The last x (N, D), for the next block."""
        return self._history[-1]

    def begin_backward(self) -> tuple[Array, Array]:
        """Return dys (M, T, N, D), to be filled before `backward_steps`, and dxs (T, N, D), which that fills."""
        like = self.params[0]
        self.dys = self._buffers.get("dys", tuple(self.ys.shape), like)
        self._dxs = self._buffers.get("dxs", tuple(self.ys.shape[1:]), like)
        self.flow = self._buffers.get("flow", tuple(self.ys.shape[2:]), like)  # what step t + 1 gives to x_t
        self.flow[...] = 0
        for grad in self.grads:
            grad[...] = 0
        return self.dys, self._dxs

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first, and add to dμ."""
        change, dxs = self._changes(first, last), self._dxs[first:last]
        towards_before = zeros(tuple(dxs.shape), dxs)  # Σ dy∘μ (steps, N, D)
        dxs[...] = 0
        for mix, grad, every_dy in zip(self.params, self.grads, self.dys, strict=True):
            dys = every_dy[first:last]
            grad += (dys * change).sum(axis=(0, 1))
            dxs += dys
            towards_before += dys * mix
        dxs -= towards_before
        dxs[:-1] += towards_before[1:]
        dxs[-1] += self.flow
        self.flow[...] = towards_before[0]

    def _changes(self, first: int, last: int) -> Array:
        """Return x_{t-1} - x_t (steps, N, D) of these steps."""
        return self._history[first:last] - self._history[first + 1 : last + 1]
