"""The bytes of any file, in a str."""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from elman.text.decoders import ByteDecoder, Decoder
from elman.text.tokenizers.base import BaseTokenizer

_ESCAPE = "surrogateescape"
_OTHER_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")


@dataclass(frozen=True)
class ByteTokenizer(BaseTokenizer):
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
        decoder = codecs.getincrementaldecoder("utf-8")(_ESCAPE)
        for chunk in chunks:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)

    def prepare(self, text: str | bytes) -> str:
        """Return the text as it is."""
        return text if isinstance(text, str) else text.decode("utf-8", _ESCAPE)

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


def raw_bytes(text: str) -> bytes:
    """Return the bytes of a text of `ByteTokenizer`; a lone surrogate that stands for no byte is a question mark."""
    try:
        return text.encode("utf-8", _ESCAPE)
    except UnicodeEncodeError:
        return _OTHER_SURROGATES.sub("?", text).encode("utf-8", _ESCAPE)


class UnendedLine(str):
    """The last line of a file of bytes that does not end with a newline: it has no end to predict."""

    __slots__ = ()
