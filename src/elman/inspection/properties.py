"""Properties of a text, a number for each token, with which a hidden unit may go up and down.

Each is a function of the text and the tokens' places, ``starts`` and ``ends`` (T,), so that it means the same whatever
the tokens are. A state after a token knows the text up to the token's end: what depends on the place is therefore
taken there, after the token's last character. What a token *is* counts wherever in the token it stands.
"""

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import ConfigError
from elman.inspection.coded_text import CodedText
from elman.inspection.enclosed import BRACKETS, QUOTES, enclosed

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
