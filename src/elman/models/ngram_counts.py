"""How often each n-gram occurs in a text, for n = 1 up to an order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Counts:
    """The distinct n-grams of one length, numbered by ascending key.

    An n-gram's key is the number of its context, which is an (n-1)-gram, times V, plus its last token: so
    keys stay small however long the n-gram, and the n-grams of one context stand side by side. The only
    context of a 1-gram is the empty one, number 0.
    """

    keys: NDArray[np.int64]  # (G,), ascending
    counts: NDArray[np.int64]  # (G,)
    n_contexts: int  # C, the number of (n-1)-grams, followed by something or not
    vocab_size: int  # V

    @property
    def contexts(self) -> NDArray[np.int64]:
        """The number of each n-gram's context, (G,)."""
        return self.keys // self.vocab_size


def count_ngrams(ids: NDArray[np.int64], vocab_size: int, order: int) -> list[Counts]:
    """Count the n-grams that lie wholly in ids (T,), for n = 1, ..., order."""
    levels: list[Counts] = []
    contexts = np.zeros(len(ids), np.int64)  # contexts[i] stands before ids[n - 1 + i]
    n_contexts = 1
    for n in range(1, order + 1):
        keys, ngrams, counts = np.unique(
            contexts * vocab_size + ids[n - 1 :], return_inverse=True, return_counts=True
        )
        levels.append(Counts(keys, counts, n_contexts, vocab_size))
        contexts, n_contexts = ngrams[:-1], len(keys)
    return levels
