"""N-grams written out as rows of ids: which they are, and how probable their last token is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elman.models.ngram_level import Level


def rows_of(levels: Sequence[Level], n: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ids (B, n) of the n-grams with these numbers (B,)."""
    columns = []
    for level in reversed(levels[:n]):
        numbers, last = np.divmod(level.keys[numbers], level.symbols)
        columns.append(last)
    return np.stack(columns[::-1], axis=1)


def numbers_and_probs(
    levels: Sequence[Level], rows: NDArray[np.int64], vocab_size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the numbers (B,) of the n-grams rows (B, n), UNSEEN where unlisted, and P(last | the others) (B,)."""
    probs = np.full(len(rows), 1 / vocab_size)
    ngrams = np.zeros((len(rows), rows.shape[1] + 1), np.int64)
    for k, level in enumerate(levels[: rows.shape[1]]):
        contexts = ngrams[:, :-1]  # before each column from the k-th on
        ngrams = level.find(contexts, rows[:, k:])
        probs = level.weights[ngrams[:, -1]] + level.backoffs[contexts[:, -1]] * probs
    return ngrams[:, -1], probs
