"""Scores of unknown words: by a lexicon, by their spelling, by their recurrence.

Words that exist, and how frequent they are: what tells a rare word from one that nobody ever wrote.

Unknown words that a speaker says again: a name that was heard once is likely to be heard soon.

The probability of an unknown word: that of `<unk>` times that of its spelling.
"""

import importlib
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, MissingExtra, TextError
from elman.evaluation.line_scores import text_nlls
from elman.evaluation.spelling import Case, in_case
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import kneser_ney
from elman.text.vocabulary import Vocabulary

LEXICON_FRACTION = 0.8  # of an unknown word's probability, for the words of the lexicon


class Lexicon:
    """Words with frequencies, of any scale."""

    def __init__(self, frequencies: Mapping[str, float]) -> None:
        self._frequencies = frequencies

    def unknown_to(self, vocabulary: Vocabulary, case: Case) -> dict[str, float]:
        """Return P(w) of the words, written in this case, that a vocabulary lacks: they sum to 1."""
        frequencies: defaultdict[str, float] = defaultdict(float)
        for word, frequency in self._frequencies.items():
            if (written := in_case(word, case)) not in vocabulary:
                frequencies[written] += frequency
        total = math.fsum(frequencies.values())
        return {word: frequency / total for word, frequency in frequencies.items()} if total else {}


def read_lexicon(lines: Iterable[str], name: str) -> Lexicon:
    """Return the lexicon of a file with a word a line, or a word, a tab and a number: how frequent it is.

    Raises:
        TextError: there is no word, or a frequency is no positive number; the message has the line.
    """
    frequencies: defaultdict[str, float] = defaultdict(float)
    for number, line in enumerate(lines, 1):
        given, tab, frequency = line.partition("\t")
        if not (word := given.strip()):
            continue
        frequencies[word] += _frequency(frequency.strip(), f"{name}, line {number}") if tab else 1.0
    if not frequencies:
        raise TextError(f"{name} holds no words; a lexicon has one a line")
    return Lexicon(frequencies)


def _frequency(given: str, where: str) -> float:
    try:
        frequency = float(given)
    except ValueError:
        frequency = math.nan
    if not 0 < frequency < math.inf:
        raise TextError(f"{where}: how frequent a word is must be a positive number, got {given!r}")
    return frequency


def wordfreq_lexicon(language: str) -> Lexicon:
    """Return the words of a language in the library wordfreq (R. Speer, wordfreq, 2022), from many kinds of texts.

    Raises:
        ConfigError: wordfreq does not know the language.
        MissingExtra: wordfreq is not installed.
    """
    try:
        wordfreq: Any = importlib.import_module("wordfreq")
    except ImportError as error:
        raise MissingExtra("wordfreq", "lexicon") from error
    try:
        return Lexicon(wordfreq.get_frequency_dict(language, "best"))
    except (LookupError, ValueError) as error:
        raise ConfigError(
            f"wordfreq has no words of the language {language!r}; name one such as en or ko"
        ) from error


RECURRING_FRACTION = 0.2  # of an unknown word's probability, for those that were there before


class Recurring:
    """What a speaker's unknown words were, and P(w | unknown) = (1-μ)·P(w) + μ·count(w)/(N+1).

    A cache (R. Kuhn and R. De Mori, A cache-based natural language model for speech recognition, IEEE Transactions on
    Pattern Analysis and Machine Intelligence 12(6), 1990) for words without a place in the vocabulary, of which a cache
    of token ids cannot tell one from another. ``share`` is μ, and 0 leaves P(w) as it is.
    """

    def __init__(self, share: float = RECURRING_FRACTION) -> None:
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
