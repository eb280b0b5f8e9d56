"""`Level`: the table of the n-grams of one length, with their weights; and lookups across several levels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

UNSEEN = -1  # the number of an n-gram or a context that did not occur in training
_NO_KEY = np.iinfo(np.int64).max


class Level:
    """A sorted table of n-grams, keyed as in ``Counts``.

    Every array has one additional entry at the end, for unseen n-grams. The last entry is also entry -1, so that
    looking up ``UNSEEN`` gives weight 0 and backoff 1 without a branch.
    """

    def __init__(
        self,
        keys: NDArray[np.int64],
        weights: NDArray[np.float64],
        backoffs: NDArray[np.float64],
        symbols: int,
    ) -> None:
        self.keys = np.append(keys, _NO_KEY)  # (G + 1,), ascending
        self.weights = np.append(weights, 0.0)  # (G + 1,)
        self.backoffs = np.append(backoffs, 1.0)  # (C + 1,)
        self.symbols = symbols  # K

    def find(self, contexts: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the n-grams (context, id), for arrays of the same shape; UNSEEN if not in the table."""
        keys = np.where((contexts < 0) | (ids < 0), UNSEEN, contexts * self.symbols + ids)
        places = np.searchsorted(self.keys, keys)
        return np.where(self.keys[places] == keys, places, UNSEEN)

    def followers(self, context: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the tokens seen after a context, and the weights of their n-grams."""
        if context == UNSEEN:
            return self.keys[:0], self.weights[:0]
        first_key = context * self.symbols
        first, end = np.searchsorted(self.keys, (first_key, first_key + self.symbols))
        return self.keys[first:end] - first_key, self.weights[first:end]


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
    """Return the numbers (B,) of the n-grams rows (B, n), UNSEEN if not in the table, and P(last | others) (B,)."""
    probs = np.full(len(rows), 1 / vocab_size)
    ngrams = np.zeros((len(rows), rows.shape[1] + 1), np.int64)
    for k, level in enumerate(levels[: rows.shape[1]]):
        contexts = ngrams[:, :-1]  # before each column from the k-th on
        ngrams = level.find(contexts, rows[:, k:])
        probs = level.weights[ngrams[:, -1]] + level.backoffs[contexts[:, -1]] * probs
    return ngrams[:, -1], probs
