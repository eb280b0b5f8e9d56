"""Spell sentences as a model's vocabulary spells its words: case and punctuation.

Capital or small letters: candidates are spelled as the model's words are.

Sentences spelled as a model's vocabulary spells its words: in its case, with punctuation apart from words.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from elman.errors import ConfigError
from elman.models.tokenized import TokenizedModel
from elman.text.reading import normalise
from elman.text.vocabulary import Vocabulary

Case = Literal["lower", "upper", "asis"]
CASES: tuple[Case, ...] = ("lower", "upper", "asis")
MOST = 0.9  # of a vocabulary's tokens with letters: what a few names or signs are written in does not matter
_FOLDS: dict[Case, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper, "asis": str}


def case_of(vocabulary: Vocabulary) -> Case:
    """Return how nearly all words of a vocabulary are written: lower, upper; or asis, where they are mixed."""
    special = {vocabulary.unk, vocabulary.eos}
    cased = [t for t in vocabulary.tokens if t not in special and t.lower() != t.upper()]
    if not cased:
        return "asis"
    lower = sum(token == token.lower() for token in cased) / len(cased)
    upper = sum(token == token.upper() for token in cased) / len(cased)
    return "lower" if lower >= MOST else "upper" if upper >= MOST else "asis"


def in_case(text: str, case: Case) -> str:
    """Return a text in this case; a literal ``<unk>`` or ``<eos>`` is a word like others, and changes too."""
    return _FOLDS[case](text)


Punctuation = Literal["split", "asis"]
PUNCTUATIONS: tuple[Punctuation, ...] = ("split", "asis")
SUFFIXES = ("n't", "'t", "'s", "'re", "'ve", "'ll", "'d", "'m")  # that treebanks cut off: has n't, or hasn 't
ATTACHED = 0.1  # of a vocabulary's words: 1 % end in a mark where marks are apart, 30 % where they are not
ENDS = ".,?!;:"


@dataclass(frozen=True)
class Spelling:
    """How sentences are spelled before a model reads them; ``split`` is for models of words alone."""

    case: Case = "asis"
    punctuation: Punctuation = "asis"

    def apply(self, sentence: str, vocabulary: Vocabulary) -> str:
        """Return a sentence in this spelling."""
        sentence = in_case(normalise(sentence), self.case)
        if self.punctuation == "asis":
            return sentence
        return " ".join(part for word in sentence.split() for part in split_word(word, vocabulary))


def spelling_for(
    text_model: TokenizedModel, case: Case | None = None, punctuation: Punctuation | None = None
) -> Spelling:
    """Return how to spell sentences for a model; what is None follows from its vocabulary.

    The case is that of nearly all its words. Punctuation is set apart for a model of words, unless a tenth of its
    words or more end in a mark, as they do where it was trained on plain text.

    Raises:
        ConfigError: punctuation is to be split for a model whose tokens are not words.
    """
    words = text_model.tokenizer.level == "word"
    if punctuation == "split" and not words:
        raise ConfigError(
            f"punctuation is set apart from words, but the model's tokens are {text_model.unit}s; "
            "leave --punctuation split out"
        )
    if punctuation is None:
        punctuation = "split" if words and not _attached(text_model.vocabulary) else "asis"
    return Spelling(case_of(text_model.vocabulary) if case is None else case, punctuation)


def split_word(word: str, vocabulary: Vocabulary) -> list[str]:
    """Return a word as words of a vocabulary: whole if that has it, else without what is attached to it.

    Marks before and after it become words of their own, or are left out where the vocabulary has no such word;
    endings such as n't and 's become words of their own where it has them.
    """
    before: list[str] = []
    after: list[str] = []
    while word and word not in vocabulary and _is_mark(word[0]):
        before.append(word[0])
        word = word[1:]
    while word and word not in vocabulary and _is_mark(word[-1]):
        after.insert(0, word[-1])
        word = word[:-1]
    middle = [word] if word else []
    if word not in vocabulary:
        for suffix in SUFFIXES:
            stem, ending = word[: -len(suffix)], word[-len(suffix) :]
            if stem and ending.lower() == suffix and ending in vocabulary:
                middle = [stem, ending]
                break
    marks = ([mark for mark in side if mark in vocabulary] for side in (before, after))
    return [*next(marks), *middle, *next(marks)]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("P")


def _attached(vocabulary: Vocabulary) -> bool:
    """Tell whether marks are parts of the words that they follow."""
    words = [t for t in vocabulary.tokens if len(t) > 1 and any(map(str.isalpha, t))]
    return sum(word[-1] in ENDS for word in words) >= ATTACHED * max(1, len(words))
