"""Capital or small letters: candidates are spelled as the model's words are."""

from collections.abc import Callable
from typing import Literal

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
