"""Word vectors: ids to rows of a matrix, with a sparse gradient."""

from elman.arrays import (
    Array,
    Buffers,
    as_ids,
    batch_major,
    sum_rows_by_id,
    take_rows,
    time_major,
    zeros,
)
from elman.errors import ShapeError, VocabularyError
from elman.layers.base import check_gradient


class TimeEmbedding:
    """ids (N, T) -> word vectors (N, T, D); W (V, D).

    Only the rows that a block touched have a gradient: ``rows`` names them, the other rows of the
    gradient are zero, and an optimizer for which a zero gradient changes nothing may skip them.
    ``tied=True`` says that another layer has written its part of the same gradient before: `backward`
    then adds to it, and ``rows`` is None because every row counts.
    """

    def __init__(self, W: Array, tied: bool = False) -> None:
        self.params = [W]
        self.grads = [zeros(tuple(W.shape), W)]
        self.tied = tied
        self.rows: Array | None = None  # distinct ids (U,) of the last backward
        self._buffers = Buffers()

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
        if N * T and not 0 <= int(ids.min()) <= int(ids.max()) < V:
            raise VocabularyError(f"ids must be in [0, {V}), got {int(ids.min())} to {int(ids.max())}")
        self._ids, self._shape = time_major(as_ids(ids, W)).reshape(-1), (N, T, D)  # ids (T·N,)
        vectors = self._buffers.get("vectors", (T, N, D), W)
        take_rows(W, self._ids, out=vectors.reshape(T * N, D))
        return batch_major(vectors)

    def backward(self, dout: Array) -> None:
        """Write the gradient of W for dout (N, T, D): repeated ids add up. Ids have no gradient: None."""
        (dW,) = self.grads
        D = dW.shape[1]
        check_gradient(dout, self._shape)
        rows, sums = sum_rows_by_id(self._ids, time_major(dout).reshape(-1, D))
        if self.tied:
            dW[rows] += sums
            return
        if self.rows is not None:
            dW[self.rows] = 0
        dW[rows] = sums
        self.rows = rows
