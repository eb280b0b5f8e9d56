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
"""

import codecs
import hashlib
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from elman import numba_jit
from elman.errors import ConfigError, TextError, VocabularyError
from elman.one_line import number_of, one_line
from elman.text.decoders import (
    EOS,
    ByteDecoder,
    CharDecoder,
    Decoder,
    JamoDecoder,
    SubwordDecoder,
    WordDecoder,
)
from elman.text.jamo import READABLE, spelled
from elman.text.reading import decode, nfc, normalise
from elman.text.tokenizer_json import NEWLINE, Pieces
from elman.text.vocabulary import Vocabulary
from elman.text.world_vocabulary import NAME, LongestMatch

__all__ = [
    "EOS",
    "LEVELS",
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
    "make_tokenizer",
]

LEVELS = ("word", "char", "jamo", "byte")  # those that need nothing else; subwords also need a tokenizer.json
OF_CHARACTERS = ("char", "jamo")  # levels of a text that need not have lines: its newline may be unknown
Whitespace = Literal["unicode", "ascii"]  # what separates words: whitespace of any kind, or as in ARPA files
ASCII_SPACES = " \t\n\r\x0b\x0c"
_ASCII_WORD = re.compile(f"[^{ASCII_SPACES}]+")
_OTHER_SPACE = re.compile(r"[^\S \t\n\r\x0b\x0c]")


class Tokenizer(Protocol):
    """Splits text, whole or as a stream, into tokens and joins tokens to text."""

    @property
    def level(self) -> str:
        """The kind of token: word, char, jamo, byte or subword."""
        ...

    @property
    def lower(self) -> bool:
        """Whether text is lower-cased."""
        ...

    @property
    def eos(self) -> str | None:
        """The token that ends a line."""
        ...

    def read(
        self, chunks: Iterable[bytes], name: str, encoding: str = "utf-8", errors: str = "strict"
    ) -> Iterator[str]:
        """Yield the text of a stream of bytes, which messages call ``name``, in chunks for ``blocks``."""
        ...

    def prepare(self, text: str | bytes) -> str:
        """Return a text in memory as ``read`` would give it; bytes are UTF-8."""
        ...

    def tokens(self, text: str, end: bool = False) -> list[str]:
        """Return the tokens of a text; ``end`` adds the newline that a last line lacks, except at byte level."""
        ...

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield the text of a stream in blocks that end where tokens end: arguments for ``split``."""
        ...

    def split(self, block: str) -> list[str]:
        """Return the tokens of one block."""
        ...

    def pieces(self, chunks: Iterable[str], end: bool = False) -> Iterator[list[str]]:
        """Yield the tokens of a stream in lists; together they are the tokens of the whole text."""
        ...

    def join(self, tokens: Iterable[str]) -> str:
        """Return tokens as text."""
        ...

    def readable(self, token: str) -> str:
        """Return a token as it is listed for people."""
        ...

    def decoder(self) -> Decoder:
        """Return a new decoder."""
        ...


class _Tokenizer:
    """The methods that follow from ``blocks``, ``split`` and ``decoder``, and the reading of text."""

    def read(
        self, chunks: Iterable[bytes], name: str, encoding: str = "utf-8", errors: str = "strict"
    ) -> Iterator[str]:
        """Yield the text of a stream of bytes: decoded and normalised, see `elman.text.reading.decode`."""
        return decode(chunks, name, encoding, errors)

    def prepare(self, text: str | bytes) -> str:
        """Return a text normalised; bytes are UTF-8. Raises TextError if they are not."""
        try:
            return normalise(text if isinstance(text, str) else text.decode())
        except UnicodeDecodeError as error:
            place = f"byte 0x{error.object[error.start]:02x} at offset {error.start}"
            raise TextError(
                f"{place} is not utf-8; decode the bytes first: text.decode('latin-1')"
            ) from error

    def tokens(self: Tokenizer, text: str, end: bool = False) -> list[str]:
        return [token for piece in self.pieces([text], end) for token in piece]

    def pieces(self: Tokenizer, chunks: Iterable[str], end: bool = False) -> Iterator[list[str]]:
        return map(self.split, self.blocks(chunks, end))

    def join(self: Tokenizer, tokens: Iterable[str]) -> str:
        decoder = self.decoder()
        return "".join(map(decoder.push, tokens)) + decoder.finish()

    def readable(self, token: str) -> str:
        return token


@dataclass(frozen=True)
class WordTokenizer(_Tokenizer):
    """Words separated by whitespace, and ``<eos>`` for each newline.

    ``whitespace`` is "unicode", of any kind, or "ascii": space, tab and the ASCII line breaks only. Then characters
    such as U+00A0 and U+3000 are letters of words, as they are in ARPA files and for the programs that read them.
    """

    lower: bool = False
    whitespace: Whitespace = "unicode"
    level: ClassVar[str] = "word"
    eos: ClassVar[str | None] = EOS

    @property
    def digest(self) -> str | None:
        """What tells the ids of "ascii" splitting in a cache from others; None for "unicode"."""
        return None if self.whitespace == "unicode" else self.whitespace

    def tokens(self, text: str, end: bool = False) -> list[str]:
        """Return the words of a text, without the cutting that a stream needs."""
        return self.split(_cased(text + "\n" if end and text and text[-1] != "\n" else text, self.lower))

    def ids(self, text: str, vocabulary: Vocabulary) -> NDArray[np.int32]:
        """Return the ids of the words of a text, found by compiled code where numba is loaded."""
        text = self.cased(text)
        if numba_jit.is_loaded() and self.splits_at_ascii(text):
            return vocabulary.encode_words(text, EOS, self.separators)
        return vocabulary.encode(self.split(text))

    def cased(self, text: str) -> str:
        """Return a text of whole words, lower-cased if requested."""
        return _cased(text, self.lower)

    def splits_at_ascii(self, text: str) -> bool:
        """Return whether the words of a text are separated by ASCII's whitespace only, as in `HashedWords.find`."""
        return self.whitespace == "ascii" or text.isascii() or not has_other_whitespace(text)

    @property
    def separators(self) -> bool:
        """Whether the characters U+001C to U+001F separate words."""
        return self.whitespace != "ascii"

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield the text, cut after whitespace; ``end`` adds the newline that a last line lacks."""
        waiting: list[str] = []
        last = "\n"
        for chunk in filter(None, chunks):
            last = chunk[-1]
            cut = self._after_last_space(chunk)
            if cut == 0:
                waiting.append(chunk)
                continue
            yield _cased("".join((*waiting, chunk[:cut])), self.lower)
            waiting = [chunk[cut:]]
        if end and last != "\n":
            waiting.append("\n")
        yield _cased("".join(waiting), self.lower)

    def split(self, block: str) -> list[str]:
        """Return the words of a block."""
        marked = block.replace("\n", f" {EOS} ")
        # splitting at all whitespace is faster, and the same where there is none but that of ASCII
        if self.whitespace == "ascii" and _OTHER_SPACE.search(marked):
            return _ASCII_WORD.findall(marked)
        return marked.split()

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where each word and each newline of a text begins and ends."""
        word = _ASCII_WORD.pattern if self.whitespace == "ascii" else r"\S+"
        return [found.span() for found in re.finditer(rf"\n|{word}", text)]

    def decoder(self) -> Decoder:
        """Return a decoder that puts a space between words and starts a new line after each ``<eos>``."""
        return WordDecoder()

    def _after_last_space(self, text: str) -> int:
        if self.whitespace == "ascii":
            return 1 + max(text.rfind(space) for space in ASCII_SPACES)
        if text[-1].isspace():
            return len(text)
        return len(text) - len(text.rsplit(maxsplit=1)[-1])


def has_other_whitespace(word: str) -> bool:
    """Return whether a word contains whitespace that is not ASCII's, so that only "ascii" splitting finds it."""
    return _OTHER_SPACE.search(word) is not None


def _cased(block: str, lower: bool) -> str:
    """Return a block of whole words, lower-cased if requested."""
    # Lower-case letters may compose where capitals did not: J and caron are two characters, j with caron one.
    return unicodedata.normalize("NFC", block.lower()) if lower else block


@dataclass(frozen=True)
class CharTokenizer(_Tokenizer):
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


def _lower(text: str) -> str:
    # str.lower() looks at a whole word to choose between two lower-case sigmas; a stream may be cut within it.
    return text.replace("Σ", "σ").lower()


@dataclass(frozen=True)
class ByteTokenizer(_Tokenizer):
    """The bytes of a text, as they are; ``lower`` changes only the letters A to Z.

    Between ``read`` and ``blocks`` a byte that is not UTF-8 is a surrogate, U+DC80 to U+DCFF (PEP 383: the error
    handler "surrogateescape"), so that text of any encoding is a str and no byte is lost. Nothing is normalised.
    """

    lower: bool = False
    level: ClassVar[str] = "byte"
    eos: ClassVar[str | None] = "\n"

    def read(
        self, chunks: Iterable[bytes], name: str, encoding: str = "utf-8", errors: str = "strict"
    ) -> Iterator[str]:
        """Yield the bytes as they are, whatever the encoding."""
        decoder = codecs.getincrementaldecoder("utf-8")(ESCAPE)
        for chunk in chunks:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)

    def prepare(self, text: str | bytes) -> str:
        """Return the text as it is."""
        return text if isinstance(text, str) else text.decode("utf-8", ESCAPE)

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield the bytes, each as one character; ``end`` adds nothing."""
        return (self.from_bytes(raw_bytes(chunk)) for chunk in chunks if chunk)

    def from_bytes(self, chunk: bytes) -> str:
        """Return raw bytes as a block, which works for any file, whatever its encoding."""
        return (chunk.lower() if self.lower else chunk).decode("latin-1")

    def split(self, block: str) -> list[str]:
        """Return the bytes of a block."""
        return list(block)

    def decoder(self) -> Decoder:
        """Return a decoder that returns whole characters only; bytes that are not UTF-8 become U+FFFD."""
        return ByteDecoder()


ESCAPE = "surrogateescape"
_OTHER_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def raw_bytes(text: str) -> bytes:
    """Return the bytes of a text of `ByteTokenizer`; a lone surrogate that stands for no byte is a question mark."""
    try:
        return text.encode("utf-8", ESCAPE)
    except UnicodeEncodeError:
        return _OTHER_SURROGATES.sub("?", text).encode("utf-8", ESCAPE)


class UnendedLine(str):
    """The last line of a file of bytes that does not end with a newline: it has no end to predict."""

    __slots__ = ()


class _LineTokenizer(_Tokenizer):
    """A tokenizer whose blocks are whole lines."""

    lower: bool

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield the text in whole lines; ``end`` adds the newline that a last line lacks."""
        waiting: list[str] = []
        for chunk in filter(None, chunks):
            cut = chunk.rfind("\n") + 1
            if cut == 0:
                waiting.append(chunk)
                continue
            yield _cased("".join((*waiting, chunk[:cut])), self.lower)
            waiting = [chunk[cut:]]
        if last := "".join(waiting):
            yield _cased(f"{last}\n" if end else last, self.lower)


@dataclass(frozen=True)
class LineCharacters(_LineTokenizer, CharTokenizer):
    """Characters in the blocks of the subword level: measures a text before its subword tokenizer is trained."""

    level: ClassVar[str] = "characters of lines"


class PieceTokenizer(_Tokenizer, ABC):
    """A tokenizer whose tokens are pieces of a fixed vocabulary, so that it knows the bytes of each."""

    level: ClassVar[str] = "subword"

    @property
    @abstractmethod
    def digest(self) -> str:
        """The SHA-256 by which caches identify the tokenizer."""

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """All pieces, in the order of the tokenizer's ids."""

    @abstractmethod
    def split(self, block: str) -> list[str]:
        """Return the pieces of a block."""

    @abstractmethod
    def byte_lengths(self, tokens: Iterable[str]) -> list[int]:
        """Return the number of bytes of a text that each of its tokens, from the first on, covers."""

    @abstractmethod
    def readable(self, token: str) -> str:
        r"""Return a piece in readable form: bytes of incomplete characters as ``\xea``."""


@dataclass(frozen=True)
class SubwordTokenizer(_LineTokenizer, PieceTokenizer):
    """The pieces of a tokenizer.json, whose text is ``json``, and ``<eos>`` for each newline.

    Raises:
        ConfigError: ``json`` is not a tokenizer.json, or some texts cannot be recovered from its pieces.
        MissingExtra: the library ``tokenizers`` is not installed.
    """

    json: str
    lower: bool = False
    eos: ClassVar[str | None] = EOS

    def __repr__(self) -> str:
        return one_line(self, number_of(len(self.vocabulary), "piece"), f"lower={self.lower}")

    def __post_init__(self) -> None:
        self.vocabulary  # noqa: B018 - report a missing library or a bad file here, not later

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """All pieces, in the order of the tokenizer's ids."""
        return Vocabulary(self._pieces.tokens, eos=EOS)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 by which caches identify the tokenizer."""
        return hashlib.sha256(self.json.encode()).hexdigest()

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(self.json)

    def split(self, block: str) -> list[str]:
        """Return the pieces of a block, with ``<eos>`` for each newline."""
        lines = block.encode("utf-8", "replace").decode().split("\n")
        first, *others = self._pieces.tokenize(lines)
        tokens = list(first)
        for line in others:
            tokens += (EOS, *line)
        return tokens

    @property
    def leads(self) -> bool:
        """Whether the tokenizer puts a space, which is not part of the text, before each line."""
        return self._pieces.leads

    def byte_lengths(self, tokens: Iterable[str]) -> list[int]:
        """Return the number of bytes of a text that each of its tokens, from the first on, covers; a newline is 1."""
        lengths = []
        lead = self.leads
        for token in tokens:
            lengths.append(1 if token == EOS else len(self._pieces.bytes_of(token)) - lead)
            lead = self.leads and token == EOS
        return lengths

    def decoder(self) -> Decoder:
        """Return a decoder that returns whole characters only; bytes that are not UTF-8 are left out."""
        return SubwordDecoder(self._pieces.bytes_of, self._pieces.leads)

    def readable(self, token: str) -> str:
        r"""Return a piece in readable form: bytes of incomplete characters as ``\xea``, ``<eos>`` unchanged."""
        spelled = self._pieces.bytes_of(token)
        return spelled.decode("utf-8", "backslashreplace") if spelled else token


_VISIBLE_BEFORE_NEWLINE = re.compile(r"\S\n")


@dataclass(frozen=True, repr=False)
class PretrainedTokenizer(SubwordTokenizer):
    """The pieces of a tokenizer.json for a text as a whole, newlines included: what published models read.

    There are ``size`` pieces, as the model has word vectors. A newline ends a line where it is a piece of its own;
    after a space, or before another newline, it may be part of a longer one. The texts of special pieces, such as
    ``<|endoftext|>``, are read as any other text.

    Raises:
        ConfigError: as for `SubwordTokenizer`, or the pieces are not those of GPT-2's byte-level pattern, or there are
            more of them.
    """

    size: int = 0
    eos: ClassVar[str | None] = NEWLINE

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """All pieces, in the order of their ids."""
        return Vocabulary(self._pieces.tokens, eos=NEWLINE)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 by which caches identify the tokenizer."""
        return hashlib.sha256(f"{self.size} {self.json}".encode()).hexdigest()

    @cached_property
    def _pieces(self) -> Pieces:
        pieces = Pieces(self.json, size=self.size)
        if not pieces.splits_at_space or pieces.leads:
            raise ConfigError(
                "the tokenizer cuts texts in another way than GPT-2's byte-level pattern, so that a long text could "
                "not be read in parts; the model cannot be imported"
            )
        return pieces

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield the text in blocks that end before a newline after a visible character; ``end`` adds nothing."""
        waiting = ""
        for chunk in filter(None, chunks):
            cut, unread = 0, max(0, len(waiting) - 1)
            waiting += chunk
            for found in _VISIBLE_BEFORE_NEWLINE.finditer(waiting, unread):
                cut = found.start() + 1
            if cut:
                yield _cased(waiting[:cut], self.lower)
                waiting = waiting[cut:]
        if waiting:
            yield _cased(waiting, self.lower)

    def split(self, block: str) -> list[str]:
        """Return the pieces of a block."""
        return next(self._pieces.tokenize([block.encode("utf-8", "replace").decode()]))


@dataclass(frozen=True)
class WorldTokenizer(PieceTokenizer):
    """The pieces of RWKV's world vocabulary, the longest at every place: see `elman.text.world_vocabulary`.

    ``pieces_by_id`` are written with a character for each byte. The end of a line has no token of its own: a piece may
    go on in the next line. Texts are normalised as at the other levels.

    Raises:
        VocabularyError: a byte is not among the pieces, so that some texts could not be encoded.
    """

    pieces_by_id: tuple[str, ...]
    lower: ClassVar[bool] = False
    eos: ClassVar[str | None] = "\n"

    def __repr__(self) -> str:
        return one_line(self, number_of(len(self.pieces_by_id), "piece"))

    def __post_init__(self) -> None:
        single = set(self.pieces_by_id)
        if missing := [byte for byte in range(256) if chr(byte) not in single]:
            raise VocabularyError(
                f"the vocabulary lacks {len(missing)} of the 256 bytes, such as {missing[0]}"
            )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """All pieces, in the order of the tokenizer's ids."""
        return Vocabulary(self.pieces_by_id, eos=self.eos)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 by which caches identify the tokenizer."""
        return self.vocabulary.digest

    @cached_property
    def _longest(self) -> LongestMatch:
        return LongestMatch(piece for piece in self.pieces_by_id if not NAME.fullmatch(piece))

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield whole lines, cut where no piece can go on; ``end`` adds the newline that a last line lacks."""
        waiting = ""
        for chunk in filter(None, chunks):
            waiting += chunk
            cut = waiting.rfind("\n", 0, -1) + 1
            while (
                cut and waiting[cut].encode("utf-8", "replace")[:1].decode("latin-1") in self._longest.inside
            ):
                cut = waiting.rfind("\n", 0, cut - 1) + 1
            if cut:
                yield waiting[:cut]
                waiting = waiting[cut:]
        if waiting:
            yield f"{waiting}\n" if end and waiting[-1] != "\n" else waiting

    def split(self, block: str) -> list[str]:
        """Return the pieces of a block."""
        return self._longest.cut(block.encode("utf-8", "replace").decode("latin-1"))

    def byte_lengths(self, tokens: Iterable[str]) -> list[int]:
        """Return the number of bytes of each token."""
        return [len(token) for token in tokens]

    def decoder(self) -> Decoder:
        """Return a decoder that returns whole characters only; bytes that are not UTF-8 become U+FFFD."""
        return ByteDecoder()

    def readable(self, token: str) -> str:
        r"""Return a piece in readable form: bytes of incomplete characters as ``\xea``."""
        return token.encode("latin-1").decode("utf-8", "backslashreplace")


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
