"""The output side of a language model: affine, softmax and loss as one layer, in chunks of rows.

With V = 10,000 words the scores of a block are by far its largest array, and a softmax over them is
bound by memory. Here the scores exist for one chunk of rows at a time: they are made, turned into
probabilities, into the loss and, while they are at hand, into their gradients.
"""

from elman.arrays import Array, Buffers, as_ids, asarray, batch_major, namespace, time_major, zeros
from elman.errors import ShapeError
from elman.layers.base import check_sequence, check_weights
from elman.layers.softmax import IGNORE_LABEL, check_targets, exp_rows, log_softmax_rows

CHUNK_SCORES = (
    1 << 21
)  # scores held at once: 8 MB in float32, enough rows for the product to run at full speed


def rows_per_chunk(vocab_size: int) -> int:
    """Return how many rows of V scores make a chunk."""
    return max(1, CHUNK_SCORES // vocab_size)


def log_probs(rows: Array, W: Array, b: Array) -> Array:
    """Return ln P over the vocabulary, (K, V), for hidden rows (K, H): a new array."""
    return log_softmax_rows(rows @ W + b)


def target_log_probs(rows: Array, targets: Array, W: Array, b: Array) -> Array:
    """Return ln P(target) as (K,) for hidden rows (K, H), never holding K·V numbers."""
    K, V = rows.shape[0], W.shape[1]
    chosen = zeros((K,), rows)
    step = rows_per_chunk(V)
    for k in range(0, K, step):
        chunk = log_probs(rows[k : k + step], W, b)
        chosen[k : k + step] = chunk[as_ids(range(len(chunk)), rows), targets[k : k + step]]
    return chosen


class TimeAffineSoftmaxWithLoss:
    """(N, T, H) and targets (N, T) -> the mean loss in nats; W (H, V), b (V,).

    The same numbers as TimeAffine followed by TimeSoftmaxWithLoss. With ``train_flg`` the gradients are
    worked out within `forward`, and `backward`, called once after it, hands them out; without it
    `forward` gives the loss alone. ``dW`` may be given: a view of another layer's gradient, for tied weights.
    """

    def __init__(self, W: Array, b: Array, dW: Array | None = None, ignore_label: int = IGNORE_LABEL) -> None:
        check_weights("TimeAffineSoftmaxWithLoss", b=(b, (W.shape[1],)))
        self.params = [W, b]
        self.grads = [zeros(tuple(W.shape), W) if dW is None else dW, zeros(tuple(b.shape), b)]
        self.ignore_label = ignore_label
        self.train_flg = True
        self._buffers = Buffers()

    def forward(self, xs: Array, ts: Array) -> float:
        """Return the mean of -ln P(target) over the counted positions.

        Raises:
            ShapeError: xs and ts do not fit, a target is out of range, or every position is ignored.
        """
        W, b = self.params
        H, V = W.shape
        check_sequence("xs", xs, H)
        N, T, _ = xs.shape
        if tuple(ts.shape) != (N, T):
            raise ShapeError(f"ts must be ({N}, {T}), got {tuple(ts.shape)}")
        rows = time_major(xs).reshape(T * N, H)
        ids = time_major(as_ids(ts, W)).reshape(-1)  # (T·N,)
        targets, counted, count = check_targets(ids, self.ignore_label, V)
        if not self.train_flg:
            return -float(target_log_probs(rows, targets, W, b)[counted].sum()) / count

        drows = self._buffers.get("drows", (T * N, H), W)
        self._dxs = batch_major(drows.reshape(T, N, H))
        weights = asarray(counted, like=W) / count  # (T·N,), of each position in the mean
        step = min(rows_per_chunk(V), T * N)
        probs = self._buffers.get("probs", (step, V), W)
        loss = 0.0
        for k in range(0, T * N, step):
            chunk = slice(k, min(k + step, T * N))
            K = chunk.stop - k
            loss += self._chunk(
                rows[chunk], targets[chunk], weights[chunk], probs[:K], drows[chunk], first=k == 0
            )
        return loss

    def _chunk(
        self, rows: Array, targets: Array, weights: Array, probs: Array, drows: Array, first: bool
    ) -> float:
        """Add this chunk's part of dW and db, write its drows, and return its part of the loss."""
        W, b = self.params
        dW, db = self.grads
        xp = namespace(W)
        xp.matmul(rows, W, out=probs)
        xp.add(probs, b, out=probs)
        sums, nll = exp_rows(probs, targets)
        dscores = probs  # (softmax - one-hot)·weight
        xp.multiply(dscores, (weights / sums)[:, None], out=dscores)
        dscores[as_ids(range(len(rows)), W), targets] -= weights
        xp.matmul(dscores, W.T, out=drows)
        if first:
            xp.matmul(rows.T, dscores, out=dW)
            db[...] = dscores.sum(axis=0)
        else:
            part = self._buffers.get("part", tuple(dW.shape), W)
            xp.matmul(rows.T, dscores, out=part)
            dW += part
            db += dscores.sum(axis=0)
        return float((nll * weights).sum())

    def backward(self, dout: float = 1.0) -> Array:
        """Return dxs (N, T, H), with it and the gradients of W and b scaled by dout."""
        if dout != 1:
            for array in (self._dxs, *self.grads):
                array *= dout
        return self._dxs
