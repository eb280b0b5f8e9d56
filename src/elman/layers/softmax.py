"""Softmax with the cross-entropy loss, over every counted position of a block."""

from elman.arrays import Array, Buffers, as_ids, batch_major, namespace, time_major
from elman.errors import ShapeError

IGNORE_LABEL = -1


def log_softmax_rows(scores: Array) -> Array:
    """Turn scores (K, V) into ln P, in place; subtracting the row's maximum prevents overflow."""
    xp = namespace(scores)
    scores -= xp.amax(scores, axis=1, keepdims=True)
    scores -= xp.log(xp.exp(scores).sum(axis=1, keepdims=True))
    return scores


def check_targets(ts: Array, ignore_label: int, vocab_size: int) -> tuple[Array, Array, int]:
    """Return ids safe to index with (K,), which of them count (K,), and how many do.

    Raises:
        ShapeError: a target is no id, or no position counts.
    """
    counted = ts != ignore_label
    count = int(counted.sum())
    if count == 0:
        raise ShapeError(
            f"every target of this block is ignore_label ({ignore_label}): there is no loss to take the "
            "mean of; leave such a block out"
        )
    targets = ts * counted
    if int(targets.min()) < 0 or int(targets.max()) >= vocab_size:
        raise ShapeError(
            f"targets must be in [0, {vocab_size}) or {ignore_label}, got {int(ts.min())} to {int(ts.max())}"
        )
    return targets, counted, count


class TimeSoftmaxWithLoss:
    """Scores (N, T, V) and targets, (N, T) ids or (N, T, V) one-hot, to the mean loss in nats.

    Positions whose target is ``ignore_label`` count neither in the loss nor in the gradient.
    """

    def __init__(self, ignore_label: int = IGNORE_LABEL) -> None:
        self.params: list[Array] = []
        self.grads: list[Array] = []
        self.ignore_label = ignore_label
        self._buffers = Buffers()

    def forward(self, xs: Array, ts: Array) -> float:
        """Return the mean of -ln P(target) over the counted positions.

        Raises:
            ShapeError: xs and ts do not fit, a target is out of range, or every position is ignored.
        """
        if xs.ndim != 3:
            raise ShapeError(f"xs must be (N, T, V), got {tuple(xs.shape)}")
        N, T, V = xs.shape
        if tuple(ts.shape) not in ((N, T), (N, T, V)):
            raise ShapeError(f"ts must be ({N}, {T}) or ({N}, {T}, {V}), got {tuple(ts.shape)}")
        if ts.ndim == 3:
            ts = ts.argmax(axis=2)
        ids = time_major(as_ids(ts, xs)).reshape(-1)  # (T·N,)
        self._targets, self._counted, self._count = check_targets(ids, self.ignore_label, V)
        log_probs = self._buffers.get("log_probs", (T * N, V), xs)
        log_probs.reshape(T, N, V)[...] = time_major(xs)
        log_softmax_rows(log_probs)
        self._log_probs, self._shape = log_probs, (T, N, V)
        chosen = log_probs[as_ids(range(T * N), xs), self._targets]  # (T·N,)
        return -float(chosen[self._counted].sum()) / self._count

    def backward(self, dout: float = 1.0) -> Array:
        """Return dxs (N, T, V): (softmax - one-hot)·dout / (number of counted positions)."""
        T, N, V = self._shape
        xp = namespace(self._log_probs)
        dxs = self._buffers.get("dxs", (T * N, V), self._log_probs)
        xp.exp(self._log_probs, out=dxs)
        dxs[as_ids(range(T * N), dxs), self._targets] -= 1
        dxs[~self._counted] = 0
        xp.multiply(dxs, dout / self._count, out=dxs)
        return batch_major(dxs.reshape(T, N, V))
