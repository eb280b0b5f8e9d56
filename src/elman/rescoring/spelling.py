"""The probability of an unknown word: that of `<unk>` times that of its spelling."""

import math
import sys
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from elman.evaluation.many_texts import text_nlls
from elman.models.kneser_ney import kneser_ney
from elman.models.ngram import NgramModel
from elman.text.vocabulary import Vocabulary

ORDER = 6
END = 0


class Spelling:
    """P(w) = Π P(character | the 5 before it), counted over a vocabulary's words, the end of a word among them.

    A vocabulary that calls every unknown word `<unk>` gives the sum of their probabilities to each, so that a
    word which nobody ever wrote beats a rare one. Spelling shares the sum out among all strings (I. Bazzi and
    J. Glass, Modeling out-of-vocabulary words for robust speech recognition, ICSLP 2000).
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        special = {vocabulary.unk, vocabulary.eos}
        words = [token for token in vocabulary.tokens if token not in special]
        self._ids = {c: k for k, c in enumerate(sorted(set("".join(words))), 1)}
        self._model = NgramModel.train(
            np.concatenate([self._encode(word) for word in words] or [np.array([END])]),
            len(self._ids) + 1,
            ORDER,
            kneser_ney,
            END,
        )

    def nll_nats(self, words: Iterable[str]) -> dict[str, float]:
        """Return -ln P of the spelling of each word; a character of no known word is any of Unicode's."""
        distinct = sorted(set(words))
        strange = {word: sum(c not in self._ids for c in word) for word in distinct}
        nlls = text_nlls(self._model, [self._encode(word) for word in distinct], self._model.start())
        each = math.log(sys.maxunicode + 1)
        return {word: float(nll) + each * strange[word] for word, nll in zip(distinct, nlls, strict=True)}

    def _encode(self, word: str) -> NDArray[np.int64]:
        return np.array([self._ids[c] for c in word if c in self._ids] + [END])
