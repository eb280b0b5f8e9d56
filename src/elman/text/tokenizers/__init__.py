r"""Tokenizers: text to words, characters, bytes or subwords, and back.

========= ===================================================================================================
level     token
========= ===================================================================================================
word      a maximal run of characters other than whitespace (see `Whitespace`); ``<eos>`` for each newline
char      one Unicode code point
jamo      a letter of a Hangul syllable (see `JamoTokenizer`); one code point of anything else
byte      one of the 256 values, written as the character of that number: byte 235 is ``"\xeb"``
subword   a piece that a tokenizer.json defines; ``<eos>`` for each newline (but see `PretrainedTokenizer`). Or one of
          RWKV's world vocabulary (see `WorldTokenizer`)
========= ===================================================================================================

Subword tokenizers keep frequent words whole and cut rare ones into pieces, down to bytes: every text can be
tokenized and is recovered exactly.

The cells of the table are the modules of this package; `make_tokenizer` chooses among them.
"""

from collections.abc import Sequence
from typing import get_args

from elman.errors import ConfigError
from elman.text.decoders import EOS, Decoder
from elman.text.tokenizers.base import Tokenizer
from elman.text.tokenizers.bytes import ByteTokenizer, UnendedLine, raw_bytes
from elman.text.tokenizers.characters import OF_CHARACTERS, CharTokenizer, JamoTokenizer, LineCharacters
from elman.text.tokenizers.subwords import PieceTokenizer, PretrainedTokenizer, SubwordTokenizer
from elman.text.tokenizers.words import Whitespace, WordTokenizer, has_other_whitespace
from elman.text.tokenizers.world import WorldTokenizer

__all__ = [
    "EOS",
    "LEVELS",
    "OF_CHARACTERS",
    "ByteTokenizer",
    "CharTokenizer",
    "Decoder",
    "JamoTokenizer",
    "LineCharacters",
    "PieceTokenizer",
    "PretrainedTokenizer",
    "SubwordTokenizer",
    "Tokenizer",
    "UnendedLine",
    "Whitespace",
    "WordTokenizer",
    "WorldTokenizer",
    "has_other_whitespace",
    "make_tokenizer",
    "raw_bytes",
]

LEVELS = ("word", "char", "jamo", "byte")  # those that need nothing else; subwords also need a tokenizer.json


def make_tokenizer(
    level: str,
    lower: bool = False,
    json: str = "",
    whitespace: Whitespace = "unicode",
    pieces: Sequence[str] = (),
    size: int = 0,
) -> Tokenizer:
    """Return the tokenizer of a level: word, char, jamo, byte, or subword with the text of its tokenizer.json.

    ``whitespace`` is what separates words, see `WordTokenizer`. ``pieces`` are those of a `WorldTokenizer`, which is a
    tokenizer of subwords without a tokenizer.json. With ``size`` the subwords are those of a `PretrainedTokenizer`.

    Raises:
        ConfigError: the level or the whitespace is unknown, or the tokenizer.json is unsuitable.
        MissingExtra: the level is subword, and the library ``tokenizers`` is not installed.
    """
    if whitespace not in get_args(Whitespace):
        raise ConfigError(
            f"`whitespace` must be one of {', '.join(get_args(Whitespace))}, got {whitespace!r}"
        )
    if level == "word":
        return WordTokenizer(lower, whitespace)
    if level == "char":
        return CharTokenizer(lower)
    if level == "jamo":
        return JamoTokenizer(lower)
    if level == "byte":
        return ByteTokenizer(lower)
    if level == "subword":
        if pieces:
            return WorldTokenizer(tuple(pieces))
        return PretrainedTokenizer(json, lower, size) if size else SubwordTokenizer(json, lower)
    raise ConfigError(f"unknown level {level!r}; choose {', '.join(LEVELS)} or subword")
