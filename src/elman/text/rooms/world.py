"""The rooms world: generates text in which a word far back often determines the next one, with exact probabilities.

`write_split` writes its training, validation and test text, the same on every machine.
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
QUESTIONS = {  # lines up to the answer, which is their first name
    "en": "Tom was watching TV in his room . Mary came into the room . The dog barked at Ann . Mary said hi to",
    "ko": "톰 은 자기 방 에서 TV 를 보고 있었다 . 메리 가 방 에 들어왔다 . 메리 가",
}
VERSION = 2  # increases whenever the text of any split changes
_SPLITS = {"train": 400_000, "valid": 20_000, "test": 20_000}  # tokens, to the end of the last line


@dataclass(frozen=True)
class Place:
    """Everything in the text so far on which the next token depends; ``Place()`` is the start of a line."""

    person: str | None = None  # who is in the room
    visitor: str | None = None  # who came in
    asides: int = 0  # distracting sentences since then
    prefix: Sentence = ()  # the tokens of the unfinished sentence


class World:
    """Lines of the kind "Tom was watching TV in his room . Mary came in . ... Mary said hi to Tom ."

    Between the entry and the greeting there are distracting sentences, some about other people. ``distractors`` is
    their mean number (geometric distribution) or a pair (least, most) (uniform distribution).

    Raises:
        ConfigError: the language is unknown, or the number impossible.
    """

    def __init__(self, language: str = "en", distractors: float | tuple[int, int] = 1.0) -> None:
        if language not in _GRAMMARS:
            raise ConfigError(f"rooms has no language {language!r}; choose one of: {', '.join(_GRAMMARS)}")
        self.language = language
        self._grammar = _GRAMMARS[language]
        self._asides = self._grammar.aside_sentences()
        self._length = length_of(distractors)
        self._tries: dict[tuple[str | None, str | None, float], Trie] = {}

    def __repr__(self) -> str:
        return f"World({self.language!r})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the people."""
        return self._grammar.names

    @property
    def vocabulary(self) -> list[str]:
        """Every token that can occur, including `<eos>`, sorted."""
        return sorted(self._grammar.tokens())

    def next_tokens(self, place: Place) -> Mapping[str, float]:
        """Return the probability of every possible next token at a place that this world can reach."""
        return self._trie(place).next_tokens(place.prefix)

    def read(self, place: Place, token: str) -> Place:
        """Return the place after a token, which must be one of ``next_tokens(place)``."""
        prefix = (*place.prefix, token)
        if self._trie(place).next_tokens(prefix):
            return Place(place.person, place.visitor, place.asides, prefix)
        return self._after(place, prefix)

    def tokens(self, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
        """Yield tokens endlessly, each with its probability given all before it."""
        place = Place()
        while True:
            trie = self._trie(place)
            sentence: Sentence = ()
            while possible := trie.next_tokens(sentence):
                token, probability = _draw(possible, rng)
                yield token, probability
                sentence = (*sentence, token)
            place = self._after(place, sentence)

    def text(self, n_tokens: int, rng: np.random.Generator) -> str:
        """Return whole lines with at least ``n_tokens`` tokens, each `<eos>` written as a newline."""
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

        Raises TextError, naming the position, if this world cannot generate the text.
        """
        return np.array([probability for _, probability in self._walk(tokens)], np.float64)

    def distance(self, tokens: Sequence[str]) -> NDArray[np.int64]:
        """Return, for each token that answers a question, its distance in words from its line's first name.

        Shape (T,), 0 for every other token: in "Tom was ... Mary said hi to Tom" the last Tom has its distance from
        the first. The first name determines the answer even if an aside repeats it.
        Raises TextError, naming the position, if this world cannot generate the text.
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
        """The entropy in nats per token, including `<eos>`: no model's mean -ln P stays below it for long."""
        return self._entropy_per_line / self._tokens_per_line

    @property
    def perplexity(self) -> float:
        """The lowest possible perplexity per token, including `<eos>`, in the limit of an endless text."""
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

    def _after(self, place: Place, sentence: Sentence) -> Place:
        """Return the place after a whole sentence that began at ``place``."""
        if sentence[-1] == EOS:
            return Place()
        if place.person is None:
            return Place(person=sentence[0])
        if place.visitor is None:
            return Place(place.person, visitor=sentence[0])
        return Place(place.person, place.visitor, place.asides + 1)

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
        """Yield the place before each token and the token's probability there."""
        place = Place()
        for position, token in enumerate(tokens):
            possible = self.next_tokens(place)
            if token not in possible:
                raise TextError(
                    f"token {position} is {token!r}, which the {self.language!r} rooms world cannot generate"
                    f" after {' '.join(tokens[max(position - 4, 0) : position])!r};"
                    f" the next token must be one of: {' '.join(sorted(possible))}"
                )
            yield place, possible[token]
            place = self.read(place, token)


def _draw(probabilities: Mapping[str, float], rng: np.random.Generator) -> tuple[str, float]:
    left = rng.random()
    for drawn in probabilities.items():  # the last one also gets the rounding error
        left -= drawn[1]
        if left < 0:
            break
    return drawn


def _entropy(weighted: Weighted) -> float:
    return -math.fsum(weight * math.log(weight) for _, weight in weighted)


def _mean_length(weighted: Weighted) -> float:
    return math.fsum(weight * len(sentence) for sentence, weight in weighted)


def write_split(
    path: Path, split: Literal["train", "valid", "test"], language: Literal["en", "ko"] = "en"
) -> None:
    """Write one split as UTF-8 text with a line feed after each line.

    Raises ConfigError if the split or language is unknown.
    """
    if split not in _SPLITS:
        raise ConfigError(f"rooms has no split {split!r}; choose one of: {', '.join(_SPLITS)}")
    seed = [VERSION, list(_SPLITS).index(split)]
    rng = np.random.Generator(np.random.PCG64(seed))
    with atomic_write(path) as file:
        file.write(World(language).text(_SPLITS[split], rng).encode())
