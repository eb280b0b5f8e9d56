"""Softmax with the cross-entropy loss, averaged over the counted positions of a block.

    P(v) = exp(s_v) / Σ_w exp(s_w)         loss = -ln P(target)         d loss / ds = P - one-hot(target)

Here s (V,) are the scores of the words at one position.
"""

from typing import Any

from elman.arrays import Array, Buffers, as_ids, batch_major, host_sync_allowed, namespace, time_major
from elman.errors import ShapeError
from elman.layers.kernels.numpy import exp_rows
from elman.one_line import one_line

IGNORE_LABEL = -1


def log_softmax_rows(scores: Array) -> Array:
    """Turn scores (K, V) into ln P, in place; subtracting the row's maximum prevents overflow."""
    xp = namespace(scores)
    scores -= xp.amax(scores, axis=1, keepdims=True)
    scores -= xp.log(xp.exp(scores).sum(axis=1, keepdims=True))
    return scores


def check_targets(ts: Array, ignore_label: int, vocab_size: int) -> tuple[Array, Array, Any]:
    """Return the targets (K,) with 0 for those that do not count, which of them count (K,), and how many do.

    Raises:
        ShapeError: a target is not an id, or no position counts; not checked within `no_host_sync`.
    """
    counted = ts != ignore_label
    if not host_sync_allowed():
        return ts * counted, counted, counted.sum()
    count = int(counted.sum())
    if count == 0:
        raise ShapeError(
            f"every target of this block is ignore_label ({ignore_label}), so it has no loss; "
            "leave such a block out"
        )
    targets = ts * counted
    if int(targets.min()) < 0 or int(targets.max()) >= vocab_size:
        raise ShapeError(
            f"targets must be in [0, {vocab_size}) or {ignore_label}, got {int(ts.min())} to {int(ts.max())}"
        )
    return targets, counted, count


class TimeSoftmaxWithLoss:
    """Scores (N, T, V) and targets -> the mean loss in nats. Targets are ids (N, T), or one-hot (N, T, V).

    Positions whose target is ``ignore_label`` count neither in the loss nor in the gradient.
    """

    def __init__(self, ignore_label: int = IGNORE_LABEL) -> None:
        self.params: list[Array] = []
        self.grads: list[Array] = []
        self.ignore_label = ignore_label
        self._buffers = Buffers()

    def __repr__(self) -> str:
        return one_line(self)

    def forward(self, xs: Array, ts: Array) -> float:
        """Return the mean of -ln P(target) over the counted positions.

        Raises:
            ShapeError: xs and ts do not go together, a target is out of range, or every position is ignored.
        """
        if xs.ndim != 3:
            raise ShapeError(f"xs must be (N, T, V), got {tuple(xs.shape)}")
        N, T, V = xs.shape
        if tuple(ts.shape) not in ((N, T), (N, T, V)):
            raise ShapeError(f"ts must be ({N}, {T}) or ({N}, {T}, {V}), got {tuple(ts.shape)}")
        if ts.ndim == 3:
            ts = ts.argmax(axis=2)  # (N, T)
        ids = time_major(as_ids(ts, xs)).reshape(-1)  # (T·N,)
        self._targets, self._counted, self._count = check_targets(ids, self.ignore_label, V)
        exps = self._buffers.get("exps", (T * N, V), xs)
        exps.reshape(T, N, V)[...] = time_major(xs)
        chosen = exps[as_ids(range(T * N), exps), self._targets]  # (T·N,)
        maxima, self._sums = exp_rows(exps)
        nll = namespace(exps).log(self._sums) + (maxima - chosen)
        self._exps, self._shape = exps, (T, N, V)
        loss: float = float(nll[self._counted].sum()) / self._count
        return loss

    def backward(self, dout: float = 1.0) -> Array:
        """Return dxs (N, T, V): (softmax - one-hot)·dout / (number of counted positions)."""
        T, N, V = self._shape
        weight = dout / self._count
        dxs = self._buffers.get("dxs", (T * N, V), self._exps)
        namespace(dxs).multiply(self._exps, (weight / self._sums)[:, None], out=dxs)
        dxs[as_ids(range(T * N), dxs), self._targets] -= weight
        dxs[~self._counted] = 0
        return batch_major(dxs.reshape(T, N, V))
