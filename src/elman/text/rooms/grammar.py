"""The grammar of the rooms world: weighted sentence templates, next-token probabilities, numbers of distractors."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from elman.errors import ConfigError
from elman.text.tokenizers import EOS

Sentence = tuple[str, ...]
Weighted = list[tuple[Sentence, float]]


@dataclass(frozen=True)
class Grammar:
    """The sentences of one language.

    A template is a string of words separated by spaces. ``{x}`` and ``{y}`` stand for two different names, and
    ``his/her`` for alternatives between which ``inflect`` chooses once the names are filled in. Openings and
    entries begin with ``{x}``; only the question ends the line.
    """

    names: tuple[str, ...]
    openings: Mapping[str, float]
    entries: Mapping[str, float]
    asides: Mapping[str, float]
    question: str
    inflect: Callable[[Sequence[str]], Sentence]

    def opening_sentences(self) -> Weighted:
        """Return every first sentence of a line, each with its probability."""
        return self._expand(self.openings, permutations(self.names, 1))

    def entry_sentences(self, person: str) -> Weighted:
        """Return every second sentence, about someone other than ``person``, each with its probability."""
        return self._expand(self.entries, [(name,) for name in self.names if name != person])

    def aside_sentences(self) -> Weighted:
        """Return every distracting sentence, each with its probability."""
        return [
            (sentence, weight * probability)
            for template, weight in _normalised(self.asides).items()
            for sentence, probability in self._expand(
                {template: 1.0}, permutations(self.names, _slots(template))
            )
        ]

    def question_sentence(self, visitor: str, person: str) -> Sentence:
        """Return the last sentence of a line, in which ``visitor`` greets ``person``, and its end."""
        return (*self._fill(self.question, (visitor, person)), EOS)

    def tokens(self) -> set[str]:
        """Return every token of every sentence."""
        sentences = [sentence for sentence, _ in self.opening_sentences() + self.aside_sentences()]
        for name, other in zip(self.names, reversed(self.names), strict=True):
            sentences += [sentence for sentence, _ in self.entry_sentences(name)]
            sentences.append(self.question_sentence(name, other))
        return {token for sentence in sentences for token in sentence}

    def _expand(self, templates: Mapping[str, float], fillings: Iterable[tuple[str, ...]]) -> Weighted:
        equally_likely = list(fillings)
        return [
            (self._fill(template, names), weight / len(equally_likely))
            for template, weight in _normalised(templates).items()
            for names in equally_likely
        ]

    def _fill(self, template: str, names: tuple[str, ...]) -> Sentence:
        slots = dict(zip(("{x}", "{y}"), names, strict=False))
        return self.inflect([slots.get(word, word) for word in template.split()])


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def _slots(template: str) -> int:
    return ("{x}" in template) + ("{y}" in template)


class Trie:
    """Next-token probabilities of sentences drawn from a weighted set.

    P(token | prefix) = weight of the sentences that begin with prefix + token / weight of those that begin with prefix.
    The sentences must be prefix-free: none is the beginning of another.
    """

    def __init__(self, weighted: Iterable[tuple[Sentence, float]]) -> None:
        below: dict[Sentence, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for sentence, weight in weighted:
            for end, token in enumerate(sentence):
                below[sentence[:end]][token] += weight
        self._next = {prefix: _normalised(tokens) for prefix, tokens in below.items()}

    def next_tokens(self, prefix: Sentence) -> Mapping[str, float]:
        """Return the probability of each possible next token; empty after a whole sentence."""
        return self._next.get(prefix, {})


@dataclass(frozen=True)
class Geometric:
    """A geometric number of distractors: after each, another follows with probability mean / (1 + mean)."""

    mean: float

    def stop_probability(self, said: int) -> float:
        """Return P(no further distracting sentence | ``said`` of them so far)."""
        return 1 / (1 + self.mean)

    @property
    def entropy(self) -> float:
        """The entropy of the number, in nats."""
        return math.log1p(self.mean) + (self.mean * math.log1p(1 / self.mean) if self.mean else 0.0)


@dataclass(frozen=True)
class Uniform:
    """A uniformly distributed number of distractors from least to most."""

    least: int
    most: int

    def stop_probability(self, said: int) -> float:
        """Return P(no further distracting sentence | ``said`` of them so far)."""
        return 0.0 if said < self.least else 1 / (self.most - said + 1)

    @property
    def mean(self) -> float:
        """The expected number."""
        return (self.least + self.most) / 2

    @property
    def entropy(self) -> float:
        """The entropy of the number, in nats."""
        return math.log(self.most - self.least + 1)


def length_of(distractors: float | tuple[int, int]) -> Geometric | Uniform:
    """Return the distribution given by a mean or a pair (least, most). Raises ConfigError for impossible numbers."""
    if isinstance(distractors, tuple):
        least, most = distractors
        if not 0 <= least <= most:
            raise ConfigError(f"distractors must be (least, most) with 0 <= least <= most, got {distractors}")
        return Uniform(least, most)
    if not 0 <= distractors < math.inf:
        raise ConfigError(f"distractors must be a mean of 0 or more, or a pair, got {distractors}")
    return Geometric(distractors)
