"""Text files as a stream: read in blocks, split into tokens, encoded as ids, and counted in every unit."""

import codecs
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.text.compressed import decompressed
from elman.text.jamo import spelled
from elman.text.reading import CHUNK, read_raw
from elman.text.tokenizers import Tokenizer
from elman.text.vocabulary import Vocabulary, code_points

Ids = NDArray[np.integer[Any]]
CHARACTERS = ("char", "jamo", "byte", "characters of lines")  # levels at which each token is one character


class Span(NamedTuple):
    """A part of a text: up to ``most`` characters (None: all) from offset ``first`` on."""

    first: int = 0
    most: int | None = None


WHOLE = Span()


class Piece(NamedTuple):
    """A chunk of text and its tokens; where each is one character (`CHARACTERS`), ``tokens`` is a string."""

    text: str
    tokens: Sequence[str]


def read_pieces(
    sources: Iterable[Path],
    tokenizer: Tokenizer,
    encoding: str,
    limit: int | None,
    on_read: Callable[[int], None],
    skip: int = 0,
    span: Span = WHOLE,
    errors: str = "strict",
    end: bool = True,
) -> Iterator[Piece]:
    """Yield the tokens of files, one file after the other: at most ``limit``, after leaving out the first ``skip``.

    With ``end``, a file's last line gets the newline that it lacks, except at byte level. ``on_read`` is called with
    the number of bytes of every chunk that was read, before decompression.
    """
    blocks = read_blocks(sources, tokenizer, encoding, on_read, span, errors, end)
    every = (as_piece(block, tokenizer) for block in blocks)
    after = _after(every, skip, tokenizer) if skip else every
    return after if limit is None else _first(after, limit, tokenizer)


def read_blocks(
    sources: Iterable[Path],
    tokenizer: Tokenizer,
    encoding: str,
    on_read: Callable[[int], None],
    span: Span = WHOLE,
    errors: str = "strict",
    end: bool = True,
) -> Iterator[str]:
    """Yield the text of files, or of a span of it, in the tokenizer's blocks, one file after the other."""
    blocks = (
        block
        for path in sources
        for block in blocks_of(
            _reported(read_raw(path), on_read), str(path), tokenizer, encoding, errors, end
        )
        if block
    )
    return blocks if span == WHOLE else _within(blocks, span)


def _within(blocks: Iterable[str], span: Span) -> Iterator[str]:
    skip, most = span.first, span.most
    for block in blocks:
        kept = block[skip:][:most]
        skip = max(0, skip - len(block))
        if most is not None:
            most -= len(kept)
        if kept:
            yield kept
        if most == 0:
            return


def as_piece(block: str, tokenizer: Tokenizer) -> Piece:
    """Return a block of text with its tokens."""
    if tokenizer.level == "jamo":
        return Piece(block, spelled(block))
    return Piece(block, block if tokenizer.level in CHARACTERS else tokenizer.split(block))


def _reported(chunks: Iterable[bytes], on_read: Callable[[int], None]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        on_read(len(chunk))


def blocks_of(
    raw: Iterable[bytes], name: str, tokenizer: Tokenizer, encoding: str, errors: str, end: bool
) -> Iterator[str]:
    """Yield the text of one file, given as the bytes in it, in the tokenizer's blocks; see `read_pieces`."""
    chunks = decompressed(raw, name, CHUNK)
    return tokenizer.blocks(tokenizer.read(chunks, name, encoding, errors), end)


def _first(pieces: Iterable[Piece], limit: int, tokenizer: Tokenizer) -> Iterator[Piece]:
    for piece in pieces:
        if len(piece.tokens) >= limit:
            yield _cut(piece, limit, tokenizer)[0]
            return
        limit -= len(piece.tokens)
        yield piece


def _after(pieces: Iterable[Piece], skip: int, tokenizer: Tokenizer) -> Iterator[Piece]:
    for piece in pieces:
        if skip == 0:
            yield piece
        elif len(piece.tokens) <= skip:
            skip -= len(piece.tokens)
        else:
            yield _cut(piece, skip, tokenizer)[1]
            skip = 0


def _cut(piece: Piece, count: int, tokenizer: Tokenizer) -> tuple[Piece, Piece]:
    """Return the longest beginning of a piece that has ``count`` tokens, and the rest.

    The text of a character that is cut, between the letters of a syllable, belongs to the beginning.
    """
    text, tokens = piece
    if tokenizer.level in ("jamo", "subword"):  # tokenized alone, the beginning could have other subwords
        n = len(tokenizer.join(tokens[:count]))
        return Piece(text[:n], tokens[:count]), Piece(text[n:], tokens[count:])
    n = bisect_right(range(len(text) + 1), count, key=lambda n: len(tokenizer.split(text[:n]))) - 1
    return as_piece(text[:n], tokenizer), as_piece(text[n:], tokenizer)


def count_tokens(pieces: Iterable[Piece], level: str) -> Mapping[str, int]:
    """Return the number of occurrences of each token, in order of first appearance."""
    if level in CHARACTERS:
        return _count_characters(_as_string(piece) for piece in pieces)
    counts: Counter[str] = Counter()
    for piece in pieces:
        counts.update(piece.tokens)
    return counts


def _count_characters(texts: Iterable[str]) -> dict[str, int]:
    totals = np.zeros(0x110000, np.int64)  # one for each code point
    order: list[str] = []
    for text in texts:
        here = np.bincount(code_points(text))
        new = np.flatnonzero((here > 0) & (totals[: len(here)] == 0))
        order += sorted(map(chr, new.tolist()), key=text.find)
        totals[: len(here)] += here
    return {character: int(totals[ord(character)]) for character in order}


def encode_piece(piece: Piece, vocabulary: Vocabulary, level: str) -> NDArray[np.int32]:
    """Return the ids of a piece's tokens, -1 for those that a closed vocabulary lacks."""
    if level in CHARACTERS:
        return vocabulary.encode_characters(_as_string(piece))
    return vocabulary.encode(piece.tokens)


def _as_string(piece: Piece) -> str:
    assert isinstance(piece.tokens, str)
    return piece.tokens


@dataclass(frozen=True)
class Size:
    """The length of an encoded text in every unit; see ``Corpus`` for their definitions."""

    tokens: int = 0
    unknown: int = 0
    characters: int = 0
    bytes: int = 0
    lines: int = 0
    words: int = 0


class WordCount:
    """Counts the whitespace-separated words of a text that arrives in chunks."""

    def __init__(self) -> None:
        self.words = 0
        self._within = False  # whether the text so far ends within a word, which the next chunk may continue
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, text: str) -> None:
        """Count the words of the next chunk."""
        if text:
            self.words += len(text.split()) - (self._within and not text[0].isspace())
            self._within = not text[-1].isspace()

    def add_bytes(self, raw: bytes) -> None:
        """Count the words of the next chunk, given as UTF-8."""
        self.add(self._utf8.decode(raw))


class Tally:
    """Sums the size of a text chunk by chunk."""

    def __init__(self, vocabulary: Vocabulary, level: str) -> None:
        self._unknown = -1 if vocabulary.unk_id is None else vocabulary.unk_id
        self._level = level
        self._done = Size()
        self._words = WordCount()
        self._line_is_open = False

    def add(self, text: str, ids: Ids) -> None:
        """Count a chunk, which must not be empty."""
        raw = text.encode("latin-1" if self._level == "byte" else "utf-8", "surrogatepass")
        self._words.add_bytes(raw) if self._level == "byte" else self._words.add(text)
        self._done = Size(
            tokens=self._done.tokens + len(ids),
            unknown=self._done.unknown + int(np.count_nonzero(ids == self._unknown)),
            characters=self._done.characters + (_code_points_in(raw) if self._level == "byte" else len(text)),
            bytes=self._done.bytes + len(raw),
            lines=self._done.lines + text.count("\n"),
            words=self._words.words,
        )
        self._line_is_open = not text.endswith("\n")

    def size(self) -> Size:
        """Return the size of all chunks; a last line without a newline counts as a line."""
        return replace(self._done, lines=self._done.lines + self._line_is_open)


def _code_points_in(raw: bytes) -> int:
    # In UTF-8 every byte except those of the form 10xxxxxx begins a character.
    return int(np.count_nonzero(np.frombuffer(raw, np.uint8) & 0xC0 != 0x80))
