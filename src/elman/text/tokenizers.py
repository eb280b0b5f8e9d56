r"""Text to tokens and back: words, characters, bytes or subwords.

A word token is what stands between blanks; a newline is the token ``<eos>``. A character token is one code
point. A byte token is one of the 256 values, written as the character of that number: byte 235 is ``"\xeb"``.
A subword token is a piece of a word, which a tokenizer.json defines; a newline is ``<eos>``.

Subwords: frequent words whole, rare ones in pieces, down to bytes. Every text has tokens, and comes back exactly.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

from elman.errors import ConfigError
from elman.text.decoders import EOS, ByteDecoder, CharDecoder, Decoder, SubwordDecoder, WordDecoder
from elman.text.reading import nfc
from elman.text.tokenizer_json import Pieces
from elman.text.vocabulary import Vocabulary

__all__ = [
    "EOS",
    "LEVELS",
    "ByteTokenizer",
    "CharTokenizer",
    "Decoder",
    "Tokenizer",
    "WordTokenizer",
    "make_tokenizer",
]

LEVELS = ("word", "char", "byte")  # subwords need a tokenizer.json besides


class Tokenizer(Protocol):
    """Cuts text into tokens, whole or as a stream, and puts tokens together again."""

    @property
    def level(self) -> str:
        """The kind of token: word, char, byte or subword."""
        ...

    @property
    def lower(self) -> bool:
        """Whether capitals become small letters."""
        ...

    @property
    def eos(self) -> str | None:
        """The token that ends a line."""
        ...

    def tokens(self, text: str, end: bool = False) -> list[str]:
        """Return the tokens of a text; ``end`` closes a last line of words that has no newline."""
        ...

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield the text of a stream, cut where tokens end: each block can be given to ``split``."""
        ...

    def split(self, block: str) -> list[str]:
        """Return the tokens of one block."""
        ...

    def pieces(self, chunks: Iterable[str], end: bool = False) -> Iterator[list[str]]:
        """Yield the tokens of a stream: joined, they are the tokens of the whole text, however it is cut."""
        ...

    def join(self, tokens: Iterable[str]) -> str:
        """Return tokens as text for people to read."""
        ...

    def decoder(self) -> Decoder:
        """Return a decoder that has seen no token."""
        ...


class Streams:
    """What all levels share: everything follows from ``blocks``, ``split`` and ``decoder``."""

    def tokens(self: Tokenizer, text: str, end: bool = False) -> list[str]:
        return [token for piece in self.pieces([text], end) for token in piece]

    def pieces(self: Tokenizer, chunks: Iterable[str], end: bool = False) -> Iterator[list[str]]:
        return map(self.split, self.blocks(chunks, end))

    def join(self: Tokenizer, tokens: Iterable[str]) -> str:
        decoder = self.decoder()
        return "".join(map(decoder.push, tokens)) + decoder.finish()


@dataclass(frozen=True)
class WordTokenizer(Streams):
    """Words: what stands between blanks of any kind, and ``<eos>`` for each newline."""

    lower: bool = False
    level: ClassVar[str] = "word"
    eos: ClassVar[str | None] = EOS

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield the text, cut after blanks; ``end`` adds the newline that a last line lacks."""
        held: list[str] = []
        last = "\n"
        for chunk in filter(None, chunks):
            last = chunk[-1]
            cut = _after_last_blank(chunk)
            if cut == 0:
                held.append(chunk)
                continue
            yield self._fold("".join((*held, chunk[:cut])))
            held = [chunk[cut:]]
        if end and last != "\n":
            held.append("\n")
        yield self._fold("".join(held))

    def _fold(self, block: str) -> str:
        # Small letters may compose where capitals did not: J and caron are two characters, j with caron one.
        return unicodedata.normalize("NFC", block.lower()) if self.lower else block

    def split(self, block: str) -> list[str]:
        """Return the words of a block."""
        return block.replace("\n", f" {EOS} ").split()

    def decoder(self) -> Decoder:
        """Return a decoder that puts a blank between words and starts a line after each ``<eos>``."""
        return WordDecoder()


def _after_last_blank(text: str) -> int:
    if text[-1].isspace():
        return len(text)
    return len(text) - len(text.rsplit(maxsplit=1)[-1])


@dataclass(frozen=True)
class CharTokenizer(Streams):
    """Characters: Unicode code points, the newline among them."""

    lower: bool = False
    level: ClassVar[str] = "char"
    eos: ClassVar[str | None] = "\n"

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield the text; ``end`` adds nothing."""
        return filter(None, nfc(map(_small, chunks)) if self.lower else chunks)

    def split(self, block: str) -> list[str]:
        """Return the characters of a block."""
        return list(block)

    def decoder(self) -> Decoder:
        """Return a decoder that hands on every character."""
        return CharDecoder()


def _small(text: str) -> str:
    # str.lower() looks at a whole word to choose between two small sigmas; a stream may be cut within it.
    return text.replace("Σ", "σ").lower()


@dataclass(frozen=True)
class ByteTokenizer(Streams):
    """Bytes of the UTF-8 form; ``lower`` changes the letters A to Z only."""

    lower: bool = False
    level: ClassVar[str] = "byte"
    eos: ClassVar[str | None] = "\n"

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield the bytes, one character each; ``end`` adds nothing."""
        return (self.from_bytes(chunk.encode("utf-8", "replace")) for chunk in chunks if chunk)

    def from_bytes(self, chunk: bytes) -> str:
        """Return raw bytes as a block: any file can be read so, whatever its encoding."""
        return (chunk.lower() if self.lower else chunk).decode("latin-1")

    def split(self, block: str) -> list[str]:
        """Return the bytes of a block."""
        return list(block)

    def decoder(self) -> Decoder:
        """Return a decoder that never gives half a character; what is not UTF-8 becomes U+FFFD."""
        return ByteDecoder()


def make_tokenizer(level: str, lower: bool = False, json: str = "") -> Tokenizer:
    """Return the tokenizer of a level: word, char, byte, or subword with the text of its tokenizer.json.

    Raises ConfigError for another level and for a tokenizer.json that will not do, MissingExtra for subwords
    without the library that cuts them.
    """
    if level == "word":
        return WordTokenizer(lower)
    if level == "char":
        return CharTokenizer(lower)
    if level == "byte":
        return ByteTokenizer(lower)
    if level == "subword":
        from elman.text.tokenizers import SubwordTokenizer  # which needs this module

        return SubwordTokenizer(json, lower)
    raise ConfigError(f"unknown kind of token {level!r}; choose {', '.join(LEVELS)} or subword")


class _Lines(Streams):
    """Text that is cut after lines."""

    lower: bool

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield the text in whole lines; ``end`` adds the newline that a last line lacks."""
        held: list[str] = []
        for chunk in filter(None, chunks):
            cut = chunk.rfind("\n") + 1
            if cut == 0:
                held.append(chunk)
                continue
            yield self._fold("".join((*held, chunk[:cut])))
            held = [chunk[cut:]]
        if last := "".join(held):
            yield self._fold(f"{last}\n" if end else last)

    def _fold(self, block: str) -> str:
        return unicodedata.normalize("NFC", block.lower()) if self.lower else block


@dataclass(frozen=True)
class LineCharacters(_Lines, CharTokenizer):
    """The characters of the blocks of subwords: how long a text is before there are any."""

    level: ClassVar[str] = "characters of lines"


@dataclass(frozen=True)
class SubwordTokenizer(_Lines):
    """The pieces of a tokenizer.json, its text in ``json``, and ``<eos>`` for each newline.

    Raises:
        ConfigError: it is no tokenizer.json, or not every text comes back from it as it was.
        MissingExtra: the library ``tokenizers`` is not installed.
    """

    json: str
    lower: bool = False
    level: ClassVar[str] = "subword"
    eos: ClassVar[str | None] = EOS

    def __post_init__(self) -> None:
        self.vocabulary  # noqa: B018 - a missing library or a bad file is an error here, not later

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """All pieces, in the order of the tokenizer's ids."""
        return Vocabulary(self._pieces.tokens, eos=EOS)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 by which caches know the tokenizer."""
        return hashlib.sha256(self.json.encode()).hexdigest()

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(self.json)

    def split(self, block: str) -> list[str]:
        """Return the pieces of a block; each newline is ``<eos>``."""
        lines = block.encode("utf-8", "replace").decode().split("\n")
        first, *others = self._pieces.cut(lines)
        tokens = list(first)
        for line in others:
            tokens += (EOS, *line)
        return tokens

    @property
    def leads(self) -> bool:
        """Whether each line is read with a blank before it, which is no part of the text."""
        return self._pieces.leads

    def byte_lengths(self, tokens: Iterable[str]) -> list[int]:
        """Return how many bytes of a text, from its start on, each of its tokens stands for: a newline is 1."""
        lengths = []
        lead = self.leads
        for token in tokens:
            lengths.append(1 if token == EOS else len(self._pieces.bytes_of(token)) - lead)
            lead = self.leads and token == EOS
        return lengths

    def decoder(self) -> Decoder:
        """Return a decoder that never gives half a character; what is not UTF-8 is left out."""
        return SubwordDecoder(self._pieces.bytes_of, self._pieces.leads)

    def readable(self, token: str) -> str:
        r"""Return a piece as people read it: bytes that are no whole character as ``\xea``, ``<eos>`` as it is."""
        spelled = self._pieces.bytes_of(token)
        return spelled.decode("utf-8", "backslashreplace") if spelled else token
