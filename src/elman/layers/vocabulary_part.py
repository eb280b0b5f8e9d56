"""One thread's part of the vocabulary in the output layer's work: its words' scores, and their gradients."""

from collections.abc import Sequence

from elman.arrays import Array, Buffers, as_ids, empty, namespace
from elman.layers.base import fused_loops
from elman.layers.softmax import exp_scores


class VocabularyPart:
    """The words W[:, words] in a block of so many rows, done in chunks of at most ``step`` rows.

    After `score`, ``maxima`` and ``sums`` (K,) are those of the chunk's rows over these words, and ``chosen`` (K,)
    the scores of the targets that are among them, 0 for the others. ``drows`` collects the part of the gradient
    of the hidden rows that comes through these words.
    """

    def __init__(self, W: Array, b: Array, dW: Array, db: Array, words: slice, rows: int, step: int) -> None:
        self.words = words
        self._weights, self._grads = (W, b), (dW, db)  # of all words: a view would stay behind in a deep copy
        self._all = words == slice(0, W.shape[1])
        self._buffers = Buffers()
        H, V = W.shape[0], words.stop - words.start
        self.drows = empty((rows, H), W)
        self._probs = empty((step, V), W)
        self._more = empty((H, V) if step < rows else (0, 0), W)
        self._places = as_ids(range(step), W)

    def score(self, rows: Array, targets: Array) -> None:
        """Make exp(score - maximum) of rows (K, H) and these words, and what goes with it."""
        W, b = self._own(self._weights)
        scores = self._probs[: len(rows)]
        self._operand_W = self._buffers.operand("W", W)
        namespace(W).matmul(rows, self._operand_W, out=scores)
        self.targets = targets - self.words.start
        self.chosen, self.maxima, self.sums = exp_scores(scores, b, self.targets)

    def differentiate(self, chunk: slice, rows: Array, top: Array, sums: Array, weights: Array) -> None:
        """Write drows of the chunk, and add its part of dW and db; top and sums are those of all words together."""
        dscores = self._probs[: len(rows)]  # (softmax - one-hot)·weight
        xp, (dW, db) = namespace(dscores), self._own(self._grads)
        factors = weights / sums if self._all else weights * xp.exp(self.maxima - top) / sums
        if chunk.start == 0:
            db[...] = 0
        if fused := fused_loops(dscores):
            fused.differentiate_rows(dscores, factors, self.targets, weights, db)
        else:
            xp.multiply(dscores, factors[:, None], out=dscores)
            within = (self.targets >= 0) & (self.targets < len(db))
            dscores[self._places[: len(rows)], self.targets * within] -= weights * within
            db += dscores.sum(axis=0)
        operand = self._buffers.operand(f"dscores {len(rows)}", dscores)
        xp.matmul(operand, self._operand_W.T, out=self.drows[chunk])
        if chunk.start == 0:
            xp.matmul(rows.T, operand, out=dW)
        else:
            xp.matmul(rows.T, operand, out=self._more)
            dW += self._more

    def _own(self, arrays: tuple[Array, Array]) -> tuple[Array, Array]:
        """Return the columns of a matrix, and the entries of a vector, of these words."""
        matrix, vector = arrays
        return matrix[:, self.words], vector[self.words]


def joined(parts: Sequence[VocabularyPart]) -> tuple[Array, Array]:
    """Return the maxima of rows and, relative to them, the sums of exponentials, of all parts together."""
    top, sums = parts[0].maxima, parts[0].sums
    xp = namespace(top)
    for part in parts[1:]:
        higher = xp.maximum(top, part.maxima)
        sums = sums * xp.exp(top - higher) + part.sums * xp.exp(part.maxima - higher)
        top = higher
    return top, sums
