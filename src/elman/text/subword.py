"""Subwords: frequent words whole, rare ones in pieces, down to bytes. Every text has tokens, and comes back exactly."""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from elman.text.decoders import EOS, Decoder, SubwordDecoder
from elman.text.subword_file import Pieces
from elman.text.tokenizers import CharTokenizer, Streams
from elman.text.vocabulary import Vocabulary


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
