"""A text as a model reads it, and numeric properties of its tokens.

A text as a model reads it: its tokens, where they stand, and at which steps.

Which characters of a text stand within quotation marks, or within brackets.

Properties of a text, a number for each token, with which a hidden unit may go up and down.

Each is a function of the text and the tokens' places, ``starts`` and ``ends`` (T,), so that it means the same whatever
the tokens are. A state after a token knows the text up to the token's end: what depends on the place is therefore
taken there, after the token's last character. What a token *is* counts wherever in the token it stands.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import ConfigError, TextError
from elman.text.offsets import token_offsets
from elman.text_model import TextModel


@dataclass(frozen=True)
class CodedText:
    """A text's T tokens with their ids (T,), -1 for one that a closed vocabulary lacks, which is not read.

    Token t stands in the text as ``text[offsets[t, 0]:offsets[t, 1]]``. ``start_id`` is read before the first,
    where the model has its texts begin after a token.
    """

    text: str
    tokens: list[str]
    ids: NDArray[np.intp]
    offsets: NDArray[np.intp]  # (T, 2)
    start_id: int | None

    @classmethod
    def of(cls, text_model: TextModel, text: str) -> "CodedText":
        """Return the text as the model reads it. Raises TextError for one without a token."""
        tokens, ids = text_model.encode(text)
        if not tokens:
            raise TextError("the text to look at holds no token; give one with at least one")
        offsets = token_offsets(text_model.tokenizer, text)[: len(tokens)]
        return cls(text, tokens, ids.astype(np.intp), offsets, text_model.start_id)

    def read(self, end: int | None = None) -> NDArray[np.intp]:
        """Return the ids that are read up to token ``end``, not included, or to the text's end: one a step."""
        known = self.ids[:end][self.ids[:end] >= 0]
        return known if self.start_id is None else np.concatenate([[self.start_id], known])

    @property
    def steps(self) -> NDArray[np.intp]:
        """For each token the step after which it has been read, (T,); -1: before all steps."""
        begun = self.start_id is not None
        steps: NDArray[np.intp] = np.cumsum(self.ids >= 0) - 1 + int(begun)
        return steps


QUOTES = {
    '"': '"', "＂": "＂", "“": "”", "‘": "’", "„": "“”", "‚": "‘’", "«": "»", "‹": "›", "「": "」", "『": "』",
    "｢": "｣",
}  # fmt: skip
BRACKETS = {
    "(": ")",
    "[": "]",
    "{": "}",
    "（": "）",
    "［": "］",
    "｛": "｝",
    "〈": "〉",
    "《": "》",
    "【": "】",
    "〔": "〕",
}


def enclosed(text: str, pairs: Mapping[str, str]) -> NDArray[np.float64]:
    """Return 1 where, after a character was read, a pair is open, else 0: (len(text),).

    ``pairs`` tells for each opening character which ones close it; so the one that opens counts, the one that
    closes does not. One that closes nothing is none, and an apostrophe between two letters is none; an empty line
    closes all, since speech over several paragraphs is opened again in each.
    """
    found = np.zeros(len(text))
    open_: list[str] = []  # what closes each of the pairs that are open
    for i, character in enumerate(text):
        if character == "\n" and text[i - 1 : i] == "\n":
            open_.clear()
        place = next((k for k in reversed(range(len(open_))) if character in open_[k]), None)
        if place is not None and not _is_apostrophe(text, i):
            del open_[place:]
        elif character in pairs and not _is_apostrophe(text, i):
            open_.append(pairs[character])
        found[i] = bool(open_)
    return found


def _is_apostrophe(text: str, i: int) -> bool:
    return text[i] in "’‘" and text[max(i - 1, 0) : i].isalpha() and text[i + 1 : i + 2].isalpha()


Values = NDArray[np.float64]
Places = NDArray[np.intp]
Span = tuple[int, int]
WORD = re.compile(r"\w+(?:['’]\w+)*")


def inside_quotes(text: str, starts: Places, ends: Places) -> Values:
    """1 where quotation marks are open: "", “”, ‘’, «», 「」, 『』 and others; not '', which are apostrophes too."""
    return _at_end(enclosed(text, QUOTES), ends)


def inside_brackets(text: str, starts: Places, ends: Places) -> Values:
    """1 where brackets are open: (), [], {}, 〈〉, 《》 and others."""
    return _at_end(enclosed(text, BRACKETS), ends)


def line_position(text: str, starts: Places, ends: Places) -> Values:
    """How many characters of its line have been read; 0 after the end of a line."""
    places = np.arange(1, len(text) + 1)
    newlines = np.array([c in "\r\n" for c in text], bool)
    return _at_end(places - np.maximum.accumulate(np.where(newlines, places, 0)), ends)


def word_position(text: str, starts: Places, ends: Places) -> Values:
    """How many characters of its word have been read; 0 outside words."""
    found = np.zeros(len(text))
    for word in WORD.finditer(text):
        found[slice(*word.span())] = np.arange(1, len(word[0]) + 1)
    return _at_end(found, ends)


def word_length(text: str, starts: Places, ends: Places) -> Values:
    """How many characters the word that is being read has; 0 outside words."""
    found = np.zeros(len(text))
    for word in WORD.finditer(text):
        found[slice(*word.span())] = len(word[0])
    return _at_end(found, ends)


def word_start(text: str, starts: Places, ends: Places) -> Values:
    """1 where a word begins."""
    found = np.zeros(len(text))
    found[[word.start() for word in WORD.finditer(text)]] = 1
    return _anywhere(found, starts, ends)


def after_name(text: str, starts: Places, ends: Places) -> Values:
    """1 from the end of a name to the end of the word that follows it.

    A name is a word of two letters or more that begins with a capital, and that the text has nowhere without one.
    """
    words = list(WORD.finditer(text))
    spellings = {word[0] for word in words}
    found = np.zeros(len(text))
    for word, following in zip(words, [*words, None][1:], strict=True):
        name = word[0]
        if name[0].isupper() and len(name) > 1 and name[0].lower() + name[1:] not in spellings:
            found[word.end() : following.end() if following else len(text)] = 1
    return _at_end(found, ends)


def capital(text: str, starts: Places, ends: Places) -> Values:
    """1 where there is a capital letter."""
    return _anywhere([c.isupper() for c in text], starts, ends)


def digit(text: str, starts: Places, ends: Places) -> Values:
    """1 where there is a digit."""
    return _anywhere([c.isdigit() for c in text], starts, ends)


def space(text: str, starts: Places, ends: Places) -> Values:
    """1 where there is nothing but white space."""
    return 1 - _anywhere([not c.isspace() for c in text], starts, ends)


def punctuation(text: str, starts: Places, ends: Places) -> Values:
    """1 where there is a character that is no letter, digit or white space."""
    return _anywhere([not (c.isalnum() or c.isspace()) for c in text], starts, ends)


def text_position(text: str, starts: Places, ends: Places) -> Values:
    """How many characters of the text have been read."""
    return ends.astype(np.float64)


PROPERTIES: dict[str, Callable[[str, Places, Places], Values]] = {
    function.__name__: function
    for function in (
        inside_quotes, inside_brackets, line_position, word_position, after_name, capital, digit, space,
        punctuation, word_start, word_length, text_position,
    )
}  # fmt: skip


def property_of(coded: CodedText, of: str | Span) -> Values:
    """Return a property, by name, of each token (T,); or, for a span of characters, 1 for the tokens that share any.

    Raises:
        ConfigError: there is no such property, or the span is empty or not within the text.
    """
    starts, ends = coded.offsets[:, 0], coded.offsets[:, 1]
    if isinstance(of, str):
        if of not in PROPERTIES:
            raise ConfigError(f"there is no property {of!r}; choose from {', '.join(PROPERTIES)}")
        return PROPERTIES[of](coded.text, starts, ends)
    first, last = of
    if not 0 <= first < last <= len(coded.text):
        raise ConfigError(
            f"a span must lie within the text's {len(coded.text):,} characters and hold at least one, "
            f"got {first} to {last}"
        )
    return ((starts < last) & (ends > first)).astype(np.float64)


def _at_end(values: ArrayLike, ends: Places) -> Values:
    """Return the values (characters,) after each token's last character."""
    return np.asarray(values, np.float64)[np.maximum(ends - 1, 0)]


def _anywhere(flags: ArrayLike, starts: Places, ends: Places) -> Values:
    """Return 1 for each token that has a flagged character."""
    before = np.concatenate([[0], np.cumsum(np.asarray(flags, np.intp))])
    return (before[ends] > before[starts]).astype(np.float64)
