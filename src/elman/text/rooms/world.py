"""An endless little world whose next word is often decided by a word far back, and always known exactly.

Training, validation and test text of the rooms world, the same on every machine.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, TextError
from elman.files import atomic_write
from elman.text.rooms.english import ENGLISH
from elman.text.rooms.grammar import Sentence, Trie, Weighted, length_of
from elman.text.rooms.korean import KOREAN
from elman.text.tokenizers import EOS

_GRAMMARS = {"en": ENGLISH, "ko": KOREAN}


@dataclass(frozen=True)
class Place:
    """All of the text so far that matters to what comes next; ``Place()`` is the start of a line."""

    person: str | None = None  # who is in the room
    visitor: str | None = None  # who came in
    asides: int = 0  # distracting sentences said since
    prefix: Sentence = ()  # the tokens of the unfinished sentence


class World:
    """Lines of the kind "Tom was watching TV in his room . Mary came in . ... Mary said hi to Tom ."

    Between the entry and the greeting stand distracting sentences that mention other people.
    ``distractors`` is their mean number (geometric) or a pair (least, most), all numbers equally likely.
    Raises ConfigError for an unknown language or an impossible number.
    """

    def __init__(self, language: str = "en", distractors: float | tuple[int, int] = 1.0) -> None:
        if language not in _GRAMMARS:
            raise ConfigError(f"rooms speaks no {language!r}; choose one of: {', '.join(_GRAMMARS)}")
        self.language = language
        self._grammar = _GRAMMARS[language]
        self._asides = self._grammar.aside_sentences()
        self._length = length_of(distractors)
        self._tries: dict[tuple[str | None, str | None, float], Trie] = {}

    @property
    def vocabulary(self) -> list[str]:
        """Every token that can occur, `<eos>` among them, sorted."""
        return sorted(self._grammar.tokens())

    def next_tokens(self, place: Place) -> Mapping[str, float]:
        """Return the probability of every token that can come next, in a place this world has led to."""
        return self._trie(place).next_tokens(place.prefix)

    def read(self, place: Place, token: str) -> Place:
        """Return the place after a token that ``next_tokens(place)`` holds."""
        prefix = (*place.prefix, token)
        if self._trie(place).next_tokens(prefix):
            return Place(place.person, place.visitor, place.asides, prefix)
        if token == EOS:
            return Place()
        if place.person is None:
            return Place(person=prefix[0])
        if place.visitor is None:
            return Place(place.person, visitor=prefix[0])
        return Place(place.person, place.visitor, place.asides + 1)

    def tokens(self, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
        """Yield tokens without end, each with its probability given all before it."""
        place = Place()
        while True:
            token, probability = _draw(self.next_tokens(place), rng)
            yield token, probability
            place = self.read(place, token)

    def text(self, n_tokens: int, rng: np.random.Generator) -> str:
        """Return whole lines of n_tokens tokens or slightly more, `<eos>` written as the end of a line."""
        if n_tokens < 1:
            raise ConfigError(f"n_tokens must be 1 or more, got {n_tokens}")
        lines: list[str] = []
        words: list[str] = []
        left = n_tokens
        for token, _ in self.tokens(rng):
            left -= 1
            if token != EOS:
                words.append(token)
                continue
            lines.append(" ".join(words) + "\n")
            if left <= 0:
                break
            words = []
        return "".join(lines)

    def token_probabilities(self, tokens: Sequence[str]) -> NDArray[np.float64]:
        """Return P(token | all tokens before it), shape (T,), of a text that begins at the start of a line.

        Raises TextError, naming the position, if this world cannot say it.
        """
        return np.array([probability for _, probability in self._walk(tokens)], np.float64)

    def distance(self, tokens: Sequence[str]) -> NDArray[np.int64]:
        """Return, for each token that answers a question, how many words back its line's first name stands.

        Shape (T,), 0 for every other token: in "Tom was ... Mary said hi to Tom" the last Tom has the
        number of words from the first. The first name decides the answer even where an aside repeats it.
        Raises TextError, naming the position, if this world cannot say it.
        """
        distances = np.zeros(len(tokens), np.int64)
        start_of_line = 0
        for position, (place, _) in enumerate(self._walk(tokens)):
            if place == Place():
                start_of_line = position
            elif self._is_asking(place):
                distances[position] = position - start_of_line
        return distances

    @property
    def entropy_rate(self) -> float:
        """The entropy in nats per token, `<eos>` counted: no model's mean -ln P stays below it for long."""
        return self._entropy_per_line / self._tokens_per_line

    @property
    def perplexity(self) -> float:
        """The lowest possible perplexity per token, `<eos>` counted, in the limit of an endless text."""
        return math.exp(self.entropy_rate)

    @property
    def _entropy_per_line(self) -> float:
        grammar = self._grammar
        openings, entries = grammar.opening_sentences(), grammar.entry_sentences(grammar.names[0])
        asides = self._length.mean * _entropy(self._asides)
        return _entropy(openings) + _entropy(entries) + self._length.entropy + asides

    @property
    def _tokens_per_line(self) -> float:
        grammar = self._grammar
        openings, entries = grammar.opening_sentences(), grammar.entry_sentences(grammar.names[0])
        asides = self._length.mean * _mean_length(self._asides)
        question = grammar.question_sentence(*grammar.names[:2])
        return _mean_length(openings) + _mean_length(entries) + asides + len(question)

    def _is_asking(self, place: Place) -> bool:
        if place.person is None or place.visitor is None:
            return False
        question = self._grammar.question_sentence(place.visitor, place.person)
        return place.prefix == question[: question.index(place.person)]

    def _trie(self, place: Place) -> Trie:
        stop = 0.0 if place.visitor is None else self._length.stop_probability(place.asides)
        key = (place.person, place.visitor, stop)
        if key not in self._tries:
            self._tries[key] = Trie(self._sentences(place, stop))
        return self._tries[key]

    def _sentences(self, place: Place, stop: float) -> Weighted:
        if place.person is None:
            return self._grammar.opening_sentences()
        if place.visitor is None:
            return self._grammar.entry_sentences(place.person)
        question = self._grammar.question_sentence(place.visitor, place.person)
        asides = [(sentence, weight * (1 - stop)) for sentence, weight in self._asides]
        return [(sentence, weight) for sentence, weight in [*asides, (question, stop)] if weight > 0]

    def _walk(self, tokens: Sequence[str]) -> Iterator[tuple[Place, float]]:
        """Yield the place before each token, and the token's probability there."""
        place = Place()
        for position, token in enumerate(tokens):
            possible = self.next_tokens(place)
            if token not in possible:
                raise TextError(
                    f"token {position} is {token!r}, which the {self.language!r} rooms world cannot say"
                    f" after {' '.join(tokens[max(position - 4, 0) : position])!r};"
                    f" it goes on with one of: {' '.join(sorted(possible))}"
                )
            yield place, possible[token]
            place = self.read(place, token)


def _draw(probabilities: Mapping[str, float], rng: np.random.Generator) -> tuple[str, float]:
    *others, last = probabilities  # whatever rounding leaves over belongs to the last
    left = rng.random()
    for token in others:
        left -= probabilities[token]
        if left < 0:
            return token, probabilities[token]
    return last, probabilities[last]


def _entropy(weighted: Weighted) -> float:
    return -math.fsum(weight * math.log(weight) for _, weight in weighted)


def _mean_length(weighted: Weighted) -> float:
    return math.fsum(weight * len(sentence) for sentence, weight in weighted)


VERSION = 2  # goes up whenever any split's text changes

_SPLITS = {"train": 400_000, "valid": 20_000, "test": 20_000}  # tokens, to the end of the last line


def write_split(
    path: Path, split: Literal["train", "valid", "test"], language: Literal["en", "ko"] = "en"
) -> None:
    """Write one split as UTF-8 text with a line feed after each line.

    Raises ConfigError for an unknown split or language.
    """
    if split not in _SPLITS:
        raise ConfigError(f"rooms has no split {split!r}; choose one of: {', '.join(_SPLITS)}")
    seed = [VERSION, list(_SPLITS).index(split)]
    rng = np.random.Generator(np.random.PCG64(seed))
    with atomic_write(path) as file:
        file.write(World(language).text(_SPLITS[split], rng).encode())
