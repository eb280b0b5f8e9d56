"""The pieces of RWKV's world vocabulary."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from elman.errors import VocabularyError
from elman.one_line import number_of, one_line
from elman.text.decoders import ByteDecoder, Decoder
from elman.text.tokenizers.subwords import PieceTokenizer
from elman.text.vocabulary import Vocabulary
from elman.text.world_vocabulary import NAME, LongestMatch


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
