"""What all tokenizers answer, and the methods that most of them share."""

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Protocol

from elman.errors import TextError
from elman.text.decoders import Decoder
from elman.text.reading import decode, normalise


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


class BaseTokenizer:
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
        """Return the tokens of a text; ``end`` adds the newline that a last line lacks."""
        return [token for piece in self.pieces([text], end) for token in piece]

    def pieces(self: Tokenizer, chunks: Iterable[str], end: bool = False) -> Iterator[list[str]]:
        """Yield the tokens of a stream, a list for each block."""
        return map(self.split, self.blocks(chunks, end))

    def join(self: Tokenizer, tokens: Iterable[str]) -> str:
        """Return tokens as text."""
        decoder = self.decoder()
        return "".join(map(decoder.push, tokens)) + decoder.finish()

    def readable(self, token: str) -> str:
        """Return a token as it is listed for people: as it is."""
        return token


class LineTokenizer(BaseTokenizer):
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
            yield cased("".join((*waiting, chunk[:cut])), self.lower)
            waiting = [chunk[cut:]]
        if last := "".join(waiting):
            yield cased(f"{last}\n" if end else last, self.lower)


def cased(block: str, lower: bool) -> str:
    """Return a block of whole words, lower-cased if requested."""
    # Lower-case letters may compose where capitals did not: J and caron are two characters, j with caron one.
    return unicodedata.normalize("NFC", block.lower()) if lower else block
