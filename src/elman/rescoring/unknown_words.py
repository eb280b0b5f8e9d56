"""Probabilities of unknown words: by a lexicon, by their spelling, and by their recurrence.

The probability of an unknown word is that of `<unk>` times its probability among all unknown words. A lexicon of word
frequencies distinguishes rare words from ones that do not exist; a spelling model scores any string; and a word, such
as a name, that a speaker has used once is likely to occur again.
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

LEXICON_FRACTION = 0.8  # of the unknown words' probability, for words in the lexicon
RECURRING_FRACTION = 0.2  # of the unknown words' probability, for words that the speaker has already used
ORDER = 6  # of the n-grams of characters in the spelling model
END = 0  # the id of the end of a word


class Lexicon:
    """Words with frequencies on any scale."""

    def __init__(self, frequencies: Mapping[str, float]) -> None:
        self._frequencies = frequencies

    def unknown_to(self, vocabulary: Vocabulary, case: Case) -> dict[str, float]:
        """Return P(w) of the words, written in this case, that a vocabulary lacks; the probabilities sum to 1."""
        frequencies: defaultdict[str, float] = defaultdict(float)
        for word, frequency in self._frequencies.items():
            if (written := in_case(word, case)) not in vocabulary:
                frequencies[written] += frequency
        total = math.fsum(frequencies.values())
        return {word: frequency / total for word, frequency in frequencies.items()} if total else {}


def read_lexicon(lines: Iterable[str], name: str) -> Lexicon:
    """Return the lexicon of a file with one word per line, optionally followed by a tab and its frequency.

    Raises:
        TextError: there is no word, or a frequency is not a positive number; names the line.
    """
    frequencies: defaultdict[str, float] = defaultdict(float)
    for number, line in enumerate(lines, 1):
        given, tab, frequency = line.partition("\t")
        if not (word := given.strip()):
            continue
        frequencies[word] += _frequency(frequency.strip(), f"{name}, line {number}") if tab else 1.0
    if not frequencies:
        raise TextError(f"{name} holds no words; write one word per line")
    return Lexicon(frequencies)


def _frequency(given: str, where: str) -> float:
    try:
        frequency = float(given)
    except ValueError:
        frequency = math.nan
    if not 0 < frequency < math.inf:
        raise TextError(f"{where}: a word's frequency must be a positive number, got {given!r}")
    return frequency


def wordfreq_lexicon(language: str) -> Lexicon:
    """Return the words of a language from the library wordfreq (R. Speer, wordfreq, 2022).

    Raises:
        ConfigError: wordfreq does not have the language.
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
            f"wordfreq does not have the language {language!r}; choose another, such as en or ko"
        ) from error


class Recurring:
    """A cache of a speaker's unknown words: P(w | unknown) = (1-μ)·P(w) + μ·count(w)/(N+1).

    It applies the cache model (R. Kuhn and R. De Mori, A cache-based natural language model for speech recognition,
    IEEE Transactions on Pattern Analysis and Machine Intelligence 12(6), 1990) to words outside the vocabulary, which a
    cache of token ids cannot distinguish. ``fraction`` is μ; 0 leaves P(w) unchanged.
    """

    def __init__(self, fraction: float = RECURRING_FRACTION) -> None:
        self._fraction = fraction
        self._counts: Counter[str] = Counter()

    def ln_prob(self, word: str, nll: float) -> float:
        """Return ln P(w | unknown) for a word whose -ln P without the cache is ``nll``."""
        recurring = self._fraction * self._counts[word] / (self._counts.total() + 1)
        new = math.log1p(-self._fraction) - nll
        return float(np.logaddexp(new, math.log(recurring))) if recurring else new

    def add(self, words: Sequence[str]) -> None:
        """Add the unknown words of an utterance."""
        self._counts.update(words)


class Spelling:
    """A spelling model: P(w) = Π P(character | the 5 before it), estimated from a vocabulary's words and their ends.

    A vocabulary that maps every unknown word to `<unk>` gives each of them the probability of all, so that a
    nonexistent word can beat a rare one. A spelling model distributes that probability over all strings (I. Bazzi and
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
        """Return -ln P of the spelling of each word; characters of no known word are uniform over Unicode."""
        distinct = sorted(set(words))
        unseen = {word: sum(c not in self._ids for c in word) for word in distinct}
        nlls = text_nlls(self._model, [self._encode(word) for word in distinct], self._model.start())
        each = math.log(sys.maxunicode + 1)
        return {word: float(nll) + each * unseen[word] for word, nll in zip(distinct, nlls, strict=True)}

    def _encode(self, word: str) -> NDArray[np.int64]:
        return np.array([self._ids[c] for c in word if c in self._ids] + [END])
