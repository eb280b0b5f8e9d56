"""Words that exist, and how frequent they are: what tells a rare word from one that nobody ever wrote."""

import importlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from elman.errors import ConfigError, MissingExtra, TextError
from elman.rescoring.casing import Case, in_case
from elman.text.vocabulary import Vocabulary

SHARE = 0.8  # of an unknown word's probability, for the words of the lexicon


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
