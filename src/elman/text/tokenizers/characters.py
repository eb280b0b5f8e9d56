"""Characters: code points, or the letters of Hangul syllables."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from elman.text.decoders import CharDecoder, Decoder, JamoDecoder
from elman.text.jamo import READABLE, spelled
from elman.text.reading import nfc
from elman.text.tokenizers.base import BaseTokenizer, LineTokenizer

OF_CHARACTERS = ("char", "jamo")  # levels of a text that need not have lines: its newline may be unknown


@dataclass(frozen=True)
class CharTokenizer(BaseTokenizer):
    """Characters: Unicode code points, including the newline."""

    lower: bool = False
    level: ClassVar[str] = "char"
    eos: ClassVar[str | None] = "\n"

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield the text; ``end`` adds the newline that a last line lacks."""
        last = "\n"
        for block in filter(None, nfc(map(_lower, chunks)) if self.lower else chunks):
            last = block[-1]
            yield block
        if end and last != "\n":
            yield "\n"

    def split(self, block: str) -> list[str]:
        """Return the characters of a block."""
        return list(block)

    def decoder(self) -> Decoder:
        """Return a decoder that returns every character as it is."""
        return CharDecoder()


@dataclass(frozen=True)
class JamoTokenizer(CharTokenizer):
    """The letters (jamo) of Hangul syllables, two or three each; all other characters as in `CharTokenizer`.

    The letters are Unicode's conjoining jamo: 한 is U+1112, U+1161 and U+11AB. Any text in NFC, as ``read`` and
    ``prepare`` give it, comes back as it was; see `elman.text.jamo`.
    """

    level: ClassVar[str] = "jamo"

    def split(self, block: str) -> list[str]:
        """Return the letters and other characters of a block."""
        return list(spelled(block))

    def decoder(self) -> Decoder:
        """Return a decoder that returns whole syllables; letters that make none come as they are."""
        return JamoDecoder()

    def readable(self, token: str) -> str:
        """Return a letter in a form that can be read by itself: an initial as ㄴ, a medial as ㅏ, a final as -ㄴ."""
        return READABLE.get(token, token)


@dataclass(frozen=True)
class LineCharacters(LineTokenizer, CharTokenizer):
    """Characters in the blocks of the subword level: measures a text before its subword tokenizer is trained."""

    level: ClassVar[str] = "characters of lines"


def _lower(text: str) -> str:
    # str.lower() looks at a whole word to choose between two lower-case sigmas; a stream may be cut within it.
    return text.replace("Σ", "σ").lower()
