"""Pieces of a fixed vocabulary: those of a tokenizer.json."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from elman.errors import ConfigError
from elman.one_line import number_of, one_line
from elman.text.decoders import EOS, Decoder, SubwordDecoder
from elman.text.tokenizer_json import NEWLINE, Pieces
from elman.text.tokenizers.base import BaseTokenizer, LineTokenizer, cased
from elman.text.vocabulary import Vocabulary

_VISIBLE_BEFORE_NEWLINE = re.compile(r"\S\n")


class PieceTokenizer(BaseTokenizer, ABC):
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
class SubwordTokenizer(LineTokenizer, PieceTokenizer):
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
                yield cased(waiting[:cut], self.lower)
                waiting = waiting[cut:]
        if waiting:
            yield cased(waiting, self.lower)

    def split(self, block: str) -> list[str]:
        """Return the pieces of a block."""
        return next(self._pieces.tokenize([block.encode("utf-8", "replace").decode()]))
