"""What may be said in the rooms world: sentence templates with weights, filled with names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from elman.text.tokenizers import EOS

Sentence = tuple[str, ...]
Weighted = list[tuple[Sentence, float]]


@dataclass(frozen=True)
class Grammar:
    """The sentences of one language.

    A template is words with blanks between them. ``{x}`` and ``{y}`` stand for two different names, and
    ``his/her`` for alternatives that ``inflect`` settles once the names are in. Openings and entries
    begin with ``{x}``; the question alone ends the line.
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
        """Return every second sentence, said of someone else than ``person``, each with its probability."""
        return self._expand(self.entries, [(name,) for name in self.names if name != person])

    def aside_sentences(self) -> Weighted:
        """Return every distracting sentence, each with its probability."""
        return [
            (sentence, weight * share)
            for template, weight in _normalised(self.asides).items()
            for sentence, share in self._expand({template: 1.0}, permutations(self.names, _blanks(template)))
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
        equally = list(fillings)
        return [
            (self._fill(template, names), weight / len(equally))
            for template, weight in _normalised(templates).items()
            for names in equally
        ]

    def _fill(self, template: str, names: tuple[str, ...]) -> Sentence:
        blanks = dict(zip(("{x}", "{y}"), names, strict=False))
        return self.inflect([blanks.get(word, word) for word in template.split()])


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {template: weight / total for template, weight in weights.items()}


def _blanks(template: str) -> int:
    return ("{x}" in template) + ("{y}" in template)
