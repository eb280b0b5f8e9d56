"""Word vectors: rows of a matrix looked up by id, with a sparse gradient."""

from elman.arrays import (
    Array,
    Buffers,
    add_rows_by_id,
    as_ids,
    batch_major,
    host_sync_allowed,
    namespace,
    take_rows,
    time_major,
    zeros,
)
from elman.errors import ShapeError, VocabularyError
from elman.layers.base import check_gradient
from elman.layers.dropout import WeightDropout
from elman.layers.kernels import kernels_for
from elman.one_line import layer_line


class TimeEmbedding:
    """ids (N, T) -> word vectors (N, T, D); W (V, D).

        vectors[n, t] = W[ids[n, t]]         dW[v] = Σ dout[n, t] over the places where ids[n, t] = v

    Only the rows of W that a block used have a gradient: ``rows`` are their ids. All other rows of the gradient are
    zero, and an optimizer for which a zero gradient changes nothing may skip them. ``tied=True`` means that another
    layer has written its part of the same gradient before: `backward` then adds to it, and ``rows`` is None because
    every row counts. ``dropout``, if set, drops rows of W, (V, 1): a dropped word is dropped at all its places in the
    block.
    """

    def __init__(self, W: Array, tied: bool = False) -> None:
        self.params = [W]
        self.grads = [zeros(tuple(W.shape), W)]
        self.tied = tied
        self.rows: Array | None = None  # distinct ids (U,) of the last backward, ascending
        self._dense = False  # whether the last backward wrote every row
        self.dropout: WeightDropout | None = None
        self._factors: Array | None = None
        self._buffers = Buffers()

    def __repr__(self) -> str:
        return layer_line(self, *self.params[0].shape)

    def forward(self, ids: Array) -> Array:
        """Return the word vectors (N, T, D) of ids (N, T).

        Raises:
            ShapeError: ids is not two-dimensional.
            VocabularyError: an id is not in [0, V).
        """
        (W,) = self.params
        V, D = W.shape
        if ids.ndim != 2:
            raise ShapeError(f"ids must be (N, T), got {tuple(ids.shape)}")
        N, T = ids.shape
        if host_sync_allowed() and N * T and not 0 <= int(ids.min()) <= int(ids.max()) < V:
            raise VocabularyError(f"ids must be in [0, {V}), got {int(ids.min())} to {int(ids.max())}")
        self._ids, self._shape = time_major(as_ids(ids, W)).reshape(-1), (N, T, D)  # ids (T·N,)
        vectors = self._buffers.get("vectors", (T, N, D), W)
        take_rows(W, self._ids, out=vectors.reshape(T * N, D))
        self._drop(vectors.reshape(T * N, D))
        return batch_major(vectors)

    def _drop(self, rows: Array) -> None:
        """Multiply rows (T·N, D) by the mask's factors for their words; keep the factors for `backward`."""
        mask = None if self.dropout is None else self.dropout.begin(like=rows)
        self._factors = None
        if mask is not None:
            self._factors = self._buffers.get("factors", (len(rows), 1), rows)
            take_rows(mask, self._ids, out=self._factors)
            namespace(rows).multiply(rows, self._factors, out=rows)

    def backward(self, dout: Array) -> None:
        """Write the gradient of W for dout (N, T, D); the ids have none."""
        (dW,) = self.grads
        D = dW.shape[1]
        check_gradient(dout, self._shape)
        douts = time_major(dout).reshape(-1, D)  # (T·N, D)
        if self._factors is not None:
            dropped = self._buffers.get("dropped douts", tuple(douts.shape), douts)
            douts = namespace(dW).multiply(douts, self._factors, out=dropped)
        if not host_sync_allowed():
            self._write_dense(douts)
            return
        if not self.tied and (self._dense or self.rows is not None):
            dW[... if self._dense else self.rows] = 0
        rows = kernels_for(dW).add_rows(dW, self._ids, douts, self._buffers)
        if not self.tied:
            self.rows, self._dense = rows, False

    def _write_dense(self, rows: Array) -> None:
        """Write the whole gradient from rows (T·N, D), when the host may not read which ids there are."""
        (dW,) = self.grads
        if not self.tied:
            dW[...] = 0
        add_rows_by_id(dW, self._ids, rows)
        self.rows, self._dense = None, True
