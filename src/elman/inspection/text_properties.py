"""A text as a model reads it, and numeric properties of its tokens with which hidden units may correlate.

Each property is a function of the text and the tokens' offsets, ``starts`` and ``ends`` (T,), so that it has the same
meaning for all kinds of tokens. The state after a token reflects the text up to the token's end. Properties of a
position are therefore evaluated after the token's last character; properties of characters, such as being a digit,
hold for a token if they hold for any of its characters.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import ConfigError, TextError
from elman.text.offsets import token_offsets
from elman.text_model import TextModel

Values = NDArray[np.float64]  # one number per token, (T,)
Offsets = NDArray[np.intp]  # offsets of tokens, (T,)
Span = tuple[int, int]  # of characters: first, and last (exclusive)
WORD = re.compile(r"\w+(?:['’]\w+)*")
SENTENCE_ENDS = ".!?…。！？"
# opening marks, each with the marks that can close it
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


@dataclass(frozen=True)
class EncodedText:
    """A text's T tokens with their ids (T,); -1 for one that a closed vocabulary lacks, which is not read.

    Token t is ``text[offsets[t, 0]:offsets[t, 1]]``. ``start_id``, if not None, is read before the first token.
    """

    text: str
    tokens: list[str]
    ids: NDArray[np.intp]
    offsets: NDArray[np.intp]  # (T, 2)
    start_id: int | None

    @classmethod
    def of(cls, text_model: TextModel, text: str) -> "EncodedText":
        """Return the text as the model reads it. Raises TextError for a text without tokens."""
        tokens, ids = text_model.encode(text)
        if not tokens:
            raise TextError("the text to inspect has no tokens; give one with at least one")
        offsets = token_offsets(text_model.tokenizer, text)[: len(tokens)]
        return cls(text, tokens, ids.astype(np.intp), offsets, text_model.start_id)

    def read(self, end: int | None = None) -> NDArray[np.intp]:
        """Return the ids read at each step up to token ``end`` (exclusive; None: the end of the text)."""
        known = self.ids[:end][self.ids[:end] >= 0]
        return known if self.start_id is None else np.concatenate([[self.start_id], known])

    @property
    def steps(self) -> NDArray[np.intp]:
        """For each token, the last step up to and including it, (T,); -1 if there is none."""
        has_start = self.start_id is not None
        steps: NDArray[np.intp] = np.cumsum(self.ids >= 0) - 1 + int(has_start)
        return steps


def inside_quotes(text: str, starts: Offsets, ends: Offsets) -> Values:
    """1 where quotation marks are open: "", “”, ‘’, «», 「」, 『』 and others; not '', which are apostrophes too."""
    return _at_end(enclosed(text, QUOTES), ends)


def inside_brackets(text: str, starts: Offsets, ends: Offsets) -> Values:
    """1 where brackets are open: (), [], {}, 〈〉, 《》 and others."""
    return _at_end(enclosed(text, BRACKETS), ends)


def line_position(text: str, starts: Offsets, ends: Offsets) -> Values:
    """How many characters of its line have been read; 0 after the end of a line."""
    positions = np.arange(1, len(text) + 1)
    newlines = np.array([c in "\r\n" for c in text], bool)
    return _at_end(positions - np.maximum.accumulate(np.where(newlines, positions, 0)), ends)


def sentence_position(text: str, starts: Offsets, ends: Offsets) -> Values:
    """How many words of its sentence have begun; 0 after its end."""
    found, count = np.zeros(len(text)), 0
    begun = {word.start() for word in WORD.finditer(text)}
    for place, character in enumerate(text):
        if character in SENTENCE_ENDS and not text[place + 1 : place + 2].isalnum():  # not that of 3.5
            count = 0
        count += place in begun
        found[place] = count
    return _at_end(found, ends)


def word_position(text: str, starts: Offsets, ends: Offsets) -> Values:
    """How many characters of its word have been read; 0 outside words."""
    found = np.zeros(len(text))
    for word in WORD.finditer(text):
        found[slice(*word.span())] = np.arange(1, len(word[0]) + 1)
    return _at_end(found, ends)


def word_length(text: str, starts: Offsets, ends: Offsets) -> Values:
    """The number of characters in the current word; 0 outside words."""
    found = np.zeros(len(text))
    for word in WORD.finditer(text):
        found[slice(*word.span())] = len(word[0])
    return _at_end(found, ends)


def word_start(text: str, starts: Offsets, ends: Offsets) -> Values:
    """1 where a word begins."""
    found = np.zeros(len(text))
    found[[word.start() for word in WORD.finditer(text)]] = 1
    return _anywhere(found, starts, ends)


def after_name(text: str, starts: Offsets, ends: Offsets) -> Values:
    """1 from the end of a name to the end of the word that follows it.

    A name is a word of two letters or more that begins with a capital and does not occur without it in the text.
    """
    words = list(WORD.finditer(text))
    spellings = {word[0] for word in words}
    found = np.zeros(len(text))
    for word, following in zip(words, [*words, None][1:], strict=True):
        name = word[0]
        if name[0].isupper() and len(name) > 1 and name[0].lower() + name[1:] not in spellings:
            found[word.end() : following.end() if following else len(text)] = 1
    return _at_end(found, ends)


def capital(text: str, starts: Offsets, ends: Offsets) -> Values:
    """1 where there is a capital letter."""
    return _anywhere([c.isupper() for c in text], starts, ends)


def digit(text: str, starts: Offsets, ends: Offsets) -> Values:
    """1 where there is a digit."""
    return _anywhere([c.isdigit() for c in text], starts, ends)


def space(text: str, starts: Offsets, ends: Offsets) -> Values:
    """1 where there is only whitespace."""
    return 1 - _anywhere([not c.isspace() for c in text], starts, ends)


def punctuation(text: str, starts: Offsets, ends: Offsets) -> Values:
    """1 where there is a character other than a letter, digit or whitespace."""
    return _anywhere([not (c.isalnum() or c.isspace()) for c in text], starts, ends)


def text_position(text: str, starts: Offsets, ends: Offsets) -> Values:
    """How many characters of the text have been read."""
    return ends.astype(np.float64)


PROPERTIES: dict[str, Callable[[str, Offsets, Offsets], Values]] = {
    function.__name__: function
    for function in (
        inside_quotes, inside_brackets, line_position, sentence_position, word_position, after_name, capital, digit,
        space, punctuation, word_start, word_length, text_position,
    )
}  # fmt: skip


def property_of(coded: EncodedText, of: str | Span) -> Values:
    """Return a named property of each token (T,) or, for a span of characters, 1 for the tokens that overlap it.

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
            f"a span must be within the text's {len(coded.text):,} characters and have at least one, "
            f"got {first} to {last}"
        )
    return ((starts < last) & (ends > first)).astype(np.float64)


def enclosed(text: str, pairs: Mapping[str, str]) -> NDArray[np.float64]:
    """Return, for each character, 1 if a pair is open after it, else 0: (len(text),).

    ``pairs`` maps each opening character to those that close it. The opening character is thus inside, the closing one
    outside. Unmatched closing characters and apostrophes between two letters are ignored. An empty line closes all
    pairs, because quotations over several paragraphs are opened again in each.
    """
    found = np.zeros(len(text))
    open_: list[str] = []  # the closing characters of each open pair
    for i, character in enumerate(text):
        if character == "\n" and text[i - 1 : i] == "\n":
            open_.clear()
        closed = next((k for k in reversed(range(len(open_))) if character in open_[k]), None)
        if closed is not None and not _is_apostrophe(text, i):
            del open_[closed:]
        elif character in pairs and not _is_apostrophe(text, i):
            open_.append(pairs[character])
        found[i] = bool(open_)
    return found


def _is_apostrophe(text: str, i: int) -> bool:
    return text[i] in "’‘" and text[max(i - 1, 0) : i].isalpha() and text[i + 1 : i + 2].isalpha()


def _at_end(values: ArrayLike, ends: Offsets) -> Values:
    """Return the value after each token's last character (T,), given those after every character."""
    return np.asarray(values, np.float64)[np.maximum(ends - 1, 0)]


def _anywhere(flags: ArrayLike, starts: Offsets, ends: Offsets) -> Values:
    """Return 1 for each token that has a flagged character."""
    before = np.concatenate([[0], np.cumsum(np.asarray(flags, np.intp))])
    return (before[ends] > before[starts]).astype(np.float64)
