"""Unknown words that a speaker says again: a name that was heard once is likely to be heard soon."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

SHARE = 0.2  # of an unknown word's probability, for those that were there before


class Recurring:
    """What a speaker's unknown words were, and P(w | unknown) = (1-μ)·P(w) + μ·count(w)/(N+1).

    A cache (R. Kuhn and R. De Mori, A cache-based natural language model for speech recognition, IEEE Transactions on
    Pattern Analysis and Machine Intelligence 12(6), 1990) for words without a place in the vocabulary, of which a cache
    of token ids cannot tell one from another. ``share`` is μ, and 0 leaves P(w) as it is.
    """

    def __init__(self, share: float = SHARE) -> None:
        self._share = share
        self._counts: Counter[str] = Counter()

    def ln_prob(self, word: str, nll: float) -> float:
        """Return ln P(w | unknown), for a word that has -ln P = ``nll`` where nothing was said before."""
        again = self._share * self._counts[word] / (self._counts.total() + 1)
        new = math.log1p(-self._share) - nll
        return float(np.logaddexp(new, math.log(again))) if again else new

    def add(self, words: Sequence[str]) -> None:
        """Note the unknown words of what was said."""
        self._counts.update(words)
