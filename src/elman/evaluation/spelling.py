"""Spell sentences as a model's vocabulary spells its words: in its case, with punctuation split off or not."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from elman.errors import ConfigError
from elman.models.tokenized import TokenizedModel
from elman.text.offsets import Change, Traced, folded, traced_normalised
from elman.text.reading import normalise
from elman.text.vocabulary import Vocabulary

AUTO: Literal["auto"] = "auto"
Case = Literal["lower", "upper", "asis"]
CASES: tuple[Case, ...] = ("lower", "upper", "asis")
MOST = 0.9  # of the tokens with letters must share a case: a few names or signs may differ
_FOLDS: dict[Case, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper, "asis": str}
CASE_WORDS = {"lower": "lower case", "upper": "upper case", "asis": "case as it is"}
Punctuation = Literal["split", "asis"]
PUNCTUATIONS: tuple[Punctuation, ...] = ("split", "asis")
PUNCTUATION_WORDS = {"split": "punctuation separated from words", "asis": "punctuation as it is"}
SUFFIXES = ("n't", "'t", "'s", "'re", "'ve", "'ll", "'d", "'m")  # split off in treebanks: has n't, or hasn 't
ATTACHED = 0.1  # of the words end in a mark: typically 1 % if marks are split off, 30 % if they are not
ENDS = ".,?!;:"


@dataclass(frozen=True)
class Spelling:
    """How to spell sentences before a model reads them; the punctuation "split" is for word models only."""

    case: Case = "asis"
    punctuation: Punctuation = "asis"

    def apply(self, sentence: str, vocabulary: Vocabulary) -> str:
        """Return a sentence in this spelling; one that stays as it is is not normalised either."""
        if self == Spelling():
            return sentence
        sentence = in_case(normalise(sentence), self.case)
        if self.punctuation == "asis":
            return sentence
        return " ".join(part for word in sentence.split() for part in split_word(word, vocabulary))

    def traced(self, sentence: str, vocabulary: Vocabulary) -> Traced:
        """Return a sentence in this spelling, with the places of its characters in the sentence as given.

        It has the words of `apply` and the whitespace of the sentence. A word of punctuation marks that the vocabulary
        lacks stays, too, as an unknown word, so that no word of the sentence is left without a token.
        """
        found = folded(traced_normalised(sentence), _FOLDS[self.case])
        return found if self.punctuation == "asis" else found.changed(_splits(found.text, vocabulary))

    @property
    def changes(self) -> bool:
        """Whether sentences may be changed at all."""
        return self != Spelling()

    def __str__(self) -> str:
        return f"{CASE_WORDS[self.case]}; {PUNCTUATION_WORDS[self.punctuation]}"


def _splits(text: str, vocabulary: Vocabulary) -> Iterator[Change]:
    """Yield the changes that split words into parts: a space between two of them, nothing for a dropped mark."""
    for word in re.finditer(r"\S+", text):
        place = word.start()
        for k, part in enumerate(split_word(word[0], vocabulary) or [word[0]]):
            begin = text.index(
                part, place
            )  # parts follow one another; what is between them are dropped marks
            if k or begin > place:
                yield place, begin, " " if k else ""
            place = begin + len(part)
        if place < word.end():
            yield place, word.end(), ""


def spelling_for(
    text_model: TokenizedModel, case: Case | None = None, punctuation: Punctuation | None = None
) -> Spelling:
    """Return how to spell sentences for a model; an argument that is None is derived from its vocabulary.

    The derived case is that of nearly all its words. Punctuation is split off for a word model unless a tenth of its
    words or more end in a punctuation mark, as they do after training on plain text.

    Raises:
        ConfigError: ``punctuation`` is "split" and the model's tokens are not words.
    """
    words = text_model.tokenizer.level == "word"
    if punctuation == "split" and not words:
        raise ConfigError(
            f"punctuation can only be split off words, but the model's tokens are {text_model.unit}s; "
            "omit `punctuation='split'`"
        )
    if punctuation is None:
        punctuation = "split" if words and not _attached(text_model.vocabulary) else "asis"
    return Spelling(case_of(text_model.vocabulary) if case is None else case, punctuation)


def checked_spelling(
    text_model: TokenizedModel, case: Literal["auto"] | Case, punctuation: Literal["auto"] | Punctuation
) -> Spelling:
    """Return the spelling that the arguments ``case`` and ``punctuation`` of public functions ask for.

    Raises:
        ConfigError: an argument is not one of its values, or does not fit the model: see `spelling_for`.
    """
    for name, value, allowed in (("case", case, CASES), ("punctuation", punctuation, PUNCTUATIONS)):
        if value not in (AUTO, *allowed):
            raise ConfigError(f"`{name}` must be one of {', '.join((AUTO, *allowed))}; got {value!r}")
    return spelling_for(
        text_model, None if case == "auto" else case, None if punctuation == "auto" else punctuation
    )


def case_of(vocabulary: Vocabulary) -> Case:
    """Return the case of nearly all words of a vocabulary, lower or upper; asis if they are mixed."""
    special = {vocabulary.unk, vocabulary.eos}
    cased = [t for t in vocabulary.tokens if t not in special and t.lower() != t.upper()]
    if not cased:
        return "asis"
    lower = sum(token == token.lower() for token in cased) / len(cased)
    upper = sum(token == token.upper() for token in cased) / len(cased)
    return "lower" if lower >= MOST else "upper" if upper >= MOST else "asis"


def in_case(text: str, case: Case) -> str:
    """Return a text in this case; a literal ``<unk>`` or ``<eos>`` changes like any other word."""
    return _FOLDS[case](text)


def split_word(word: str, vocabulary: Vocabulary) -> list[str]:
    """Split a word into words of a vocabulary: unchanged if the vocabulary has it, else with attached parts split off.

    Punctuation marks before and after it become separate words, or are dropped if the vocabulary lacks them;
    endings such as n't and 's become separate words if the vocabulary has them.
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
    """Return whether the vocabulary's words include the punctuation marks that follow them."""
    words = [t for t in vocabulary.tokens if len(t) > 1 and any(map(str.isalpha, t))]
    return sum(word[-1] in ENDS for word in words) >= ATTACHED * max(1, len(words))
