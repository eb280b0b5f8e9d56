"""The n-grams of one length with their weights, and how they are found."""

import numpy as np
from numpy.typing import NDArray

UNSEEN = -1  # the number of an n-gram or a context that training did not show
_NO_KEY = np.iinfo(np.int64).max


class Level:
    """A sorted table of n-grams, keyed as in ``Counts``.

    Every array ends with one entry more, for the unseen: being the last it is also entry -1, so that
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
        """Return the numbers of the n-grams contexts + ids, all of one shape, UNSEEN where there is none."""
        keys = np.where((contexts < 0) | (ids < 0), UNSEEN, contexts * self.symbols + ids)
        places = np.searchsorted(self.keys, keys)
        return np.where(self.keys[places] == keys, places, UNSEEN)

    def followers(self, context: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the tokens seen after a context, and the weights of the n-grams they end."""
        if context == UNSEEN:
            return self.keys[:0], self.weights[:0]
        first_key = context * self.symbols
        first, end = np.searchsorted(self.keys, (first_key, first_key + self.symbols))
        return self.keys[first:end] - first_key, self.weights[first:end]
