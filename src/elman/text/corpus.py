"""Corpora: text files encoded as one array of ids, memory-mapped and cached on disk.

The cache finds an encoded corpus again by its files, settings and vocabulary.
"""

import contextlib
import hashlib
import json
import logging
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, TextError, VocabularyError
from elman.files import printable_path, release_pages, remove_orphans, writing
from elman.one_line import number_of, one_line
from elman.text.reading import check_errors, check_file, sha256_of
from elman.text.stream import (
    WHOLE,
    Ids,
    Piece,
    Size,
    Span,
    Tally,
    as_piece,
    count_tokens,
    encode_piece,
    read_pieces,
)
from elman.text.tokenizers import OF_CHARACTERS, PieceTokenizer, Tokenizer
from elman.text.vocabulary import Vocabulary

Stamp: TypeAlias = tuple[str, int, int]  # absolute path, size in bytes, time of change in ns
Dtype: TypeAlias = Literal["uint8", "uint16", "uint32", "int32"]
Progress: TypeAlias = Callable[[int, int], None]  # bytes done, bytes in all
CHECKED_AT_ONCE = 1 << 24  # ids

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Corpus:
    r"""A text as ids, with its size in every unit.

    ``ids`` (T,) is read-only. Its dtype is the smallest unsigned integer that holds V, or int32 if the vocabulary
    was given and is closed: tokens outside it are -1. ``unknown`` counts these or, with an open vocabulary, every
    ``<unk>``, including those that the text itself contains. ``characters`` (code points) and ``bytes`` (UTF-8)
    are those of the text as read: in NFC, lower-cased if the tokenizer does so, with ``\n`` for newlines and one
    after the last line of each file (at character level if the vocabulary has one). At byte level the files' bytes are
    counted as they are, or as they are after decompression. ``words`` counts whitespace-separated words, whatever the
    tokens. ``sha256`` is that of the files' bytes, compressed if they are, one file after the other.
    """

    ids: Ids
    vocabulary: Vocabulary
    tokens: int
    unknown: int
    characters: int
    bytes: int
    lines: int
    words: int
    sha256: str
    sources: tuple[Path, ...]

    def __repr__(self) -> str:
        more = f" and {len(self.sources) - 1} more" if len(self.sources) > 1 else ""
        source = f"{self.sources[0].name}{more}" if self.sources else ""
        sizes = (
            number_of(self.tokens, "token"),
            f"{self.unknown:,} unknown",
            f"vocabulary {len(self.vocabulary):,}",
        )
        return one_line(self, source, *sizes)


def encode_corpus(
    sources: str | Path | Sequence[str | Path],
    tokenizer: Tokenizer,
    *,
    cache: str | Path | None,
    vocabulary: Vocabulary | None = None,
    encoding: str = "utf-8",
    order: str = "appearance",
    max_vocab: int | None = None,
    min_count: int = 1,
    max_tokens: int | None = None,
    skip_tokens: int = 0,
    span: Span = WHOLE,
    open_vocabulary: bool = False,
    progress: Progress | None = None,
    errors: str = "strict",
) -> Corpus:
    """Encode files as one sequence of ids, in memory that does not grow with their size.

    Without ``vocabulary`` the files are read twice: first to count their tokens (``order``, ``max_vocab``,
    ``min_count`` and ``open_vocabulary`` as in ``Vocabulary.build``), then to encode them. Bytes and subwords have
    a fixed vocabulary.

    Args:
        sources: a file, or several, encoded one after the other.
        tokenizer: how to split their text.
        cache: a folder that keeps the ids. They are reused for the same settings and the same files, unchanged in
            size and modification time.
        vocabulary: the vocabulary to encode with; None builds one from the text.
        encoding: the files' character encoding.
        order, max_vocab, min_count, open_vocabulary: see ``Vocabulary.build``.
        max_tokens: encode only the first tokens.
        skip_tokens: leave out this many tokens at the beginning.
        span: encode only this part of the text.
        progress: called with the number of bytes done and the number in all.
        errors: what happens to a line that is not in the encoding: "strict" raises TextError, "replace" puts U+FFFD in
            place of the bytes, "skip" leaves the line out.

    Raises:
        TextError: a file cannot be read, is empty or changes while it is read; or the disk is full.
        ConfigError, VocabularyError: the settings contradict each other.
    """
    files = [Path(each) for each in ([sources] if isinstance(sources, str | Path) else sources)]
    if not files:
        raise TextError("no file to read; name at least one")
    if max_tokens is not None and max_tokens < 1:
        raise ConfigError(f"max_tokens must be at least 1, got {max_tokens}")
    check_errors(errors)
    given = fixed_vocabulary(tokenizer, vocabulary) or vocabulary
    stamps = stamps_of(files)
    store = None
    if cache is not None:
        text = (tokenizer.level, tokenizer.lower, encoding, max_tokens, unicodedata.unidata_version)
        choice = None if given else (order, max_vocab, min_count, open_vocabulary)
        more: tuple[object, ...] = (
            skip_tokens,
            None if span == WHOLE else span,
            getattr(tokenizer, "digest", None),
        )
        more += (
            None if errors == "strict" else errors,
            "ended" if tokenizer.level in OF_CHARACTERS else None,
        )
        store = IdCache(Path(cache), files, (*text, *more), choice)
        if kept := store.load(stamps, given.digest if given else None):
            ids, known, record = kept
            return _corpus(ids, known, record.size, record.sha256, files)

    on_read = _meter(progress, stamps, given)
    end = adds_newlines(tokenizer, len(files), given)
    reading = _Reading(
        files, tokenizer, encoding, max_tokens, stamps, on_read, skip_tokens, span, errors, end
    )
    known = given or Vocabulary.build(
        reading.counts(), order, max_vocab, min_count, eos=tokenizer.eos, open_vocabulary=open_vocabulary
    )
    if not end and known.eos_id is not None:
        reading = replace(reading, end=True)
    may_miss = vocabulary is not None and known.unk is None and tokenizer.level not in ("byte", "subword")
    dtype: Dtype = "int32" if may_miss else narrowest(len(known))
    tally = Tally(known, tokenizer.level)
    parts = (part.astype(dtype) for part in reading.ids(known, tally))
    if store is None:
        ids = np.concatenate(list(parts))
        return _corpus(ids, known, tally.size(), sha256_of(files), files)
    checksum = store.write_ids(parts, known.digest)
    record = Record(stamps, dtype, tally.size(), sha256_of(files), known.to_json(), checksum)
    return _corpus(store.write_record(record, known.digest), known, record.size, record.sha256, files)


def encode_text(text: str, tokenizer: Tokenizer, vocabulary: Vocabulary, end: bool = True) -> Corpus:
    """Encode a text in memory as ``encode_corpus`` encodes a file, with int32 ids.

    ``end`` adds the newline that a last line lacks, except at byte level and where the vocabulary has none. Raises
    TextError for an empty text.
    """
    blocks = tokenizer.blocks([tokenizer.prepare(text)], end and adds_newlines(tokenizer, 1, vocabulary))
    pieces = [as_piece(block, tokenizer) for block in blocks if block]
    if not pieces:
        raise TextError("the text is empty")
    tally = Tally(vocabulary, tokenizer.level)
    ids = np.concatenate(list(_encoded(pieces, vocabulary, tokenizer.level, tally)))
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return _corpus(ids, vocabulary, tally.size(), digest, ())


def adds_newlines(tokenizer: Tokenizer, files: int, vocabulary: Vocabulary | None) -> bool:
    r"""Return whether the last line of a file gets the newline that it lacks.

    A text of characters need not have lines: if the vocabulary lacks ``\n``, none is added; without a vocabulary yet,
    none to a single file before it is known whether it has another one.
    """
    if tokenizer.level not in OF_CHARACTERS:
        return True
    return files > 1 if vocabulary is None else vocabulary.eos_id is not None


@dataclass(frozen=True)
class _Reading:
    """Files and the settings with which to read them."""

    sources: Sequence[Path]
    tokenizer: Tokenizer
    encoding: str
    max_tokens: int | None
    stamps: list[Stamp]
    on_read: Callable[[int], None]
    skip: int = 0
    span: Span = WHOLE
    errors: str = "strict"
    end: bool = True

    def _pieces(self) -> Iterator[Piece]:
        return read_pieces(
            self.sources,
            self.tokenizer,
            self.encoding,
            self.max_tokens,
            self.on_read,
            self.skip,
            self.span,
            self.errors,
            self.end,
        )

    def counts(self) -> Mapping[str, int]:
        counts = count_tokens(self._pieces(), self.tokenizer.level)
        self._check(len(counts))
        return counts

    def ids(self, vocabulary: Vocabulary, tally: Tally) -> Iterator[Ids]:
        yield from _encoded(self._pieces(), vocabulary, self.tokenizer.level, tally)
        self._check(tally.size().tokens)

    def _check(self, tokens: int) -> None:
        names = " and ".join(map(str, self.sources[:2])) + (" and others" if len(self.sources) > 2 else "")
        if stamps_of(self.sources) != self.stamps:
            raise TextError(f"{names} changed while being read; try again")
        if tokens == 0:
            raise TextError(f"{names} {'is' if len(self.sources) == 1 else 'are'} empty")


def _encoded(pieces: Iterable[Piece], vocabulary: Vocabulary, level: str, tally: Tally) -> Iterator[Ids]:
    for piece in pieces:
        ids = encode_piece(piece, vocabulary, level)
        tally.add(piece.text, ids)
        yield ids


def _corpus(ids: Ids, vocabulary: Vocabulary, size: Size, sha256: str, sources: Sequence[Path]) -> Corpus:
    ids.flags.writeable = False
    return Corpus(ids, vocabulary, **asdict(size), sha256=sha256, sources=tuple(sources))


def narrowest(vocab_size: int) -> Dtype:
    """Return the smallest unsigned integer type that holds the ids of so many tokens."""
    return "uint8" if vocab_size <= 1 << 8 else "uint16" if vocab_size <= 1 << 16 else "uint32"


def fixed_vocabulary(tokenizer: Tokenizer, vocabulary: Vocabulary | None) -> Vocabulary | None:
    """Return the vocabulary of a byte or subword tokenizer, which ``vocabulary`` must equal; None at other levels."""
    if tokenizer.level == "byte":
        own, expected = Vocabulary.of_bytes(), "byte level must be the 256 bytes"
    elif isinstance(tokenizer, PieceTokenizer):
        own, expected = tokenizer.vocabulary, "subword level must be that of the tokenizer"
    else:
        return None
    if vocabulary is not None and vocabulary.tokens != own.tokens:
        raise VocabularyError(f"the vocabulary at {expected}, but a different one was given")
    return own


def _meter(progress: Progress | None, stamps: list[Stamp], given: Vocabulary | None) -> Callable[[int], None]:
    total = sum(size for _, size, _ in stamps) * (1 if given else 2)
    done = 0

    def on_read(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    return on_read


def stamps_of(sources: Iterable[Path]) -> list[Stamp]:
    """Return the stamp of each file, by which a change is noticed. Raises TextError for an unreadable file."""
    return [(printable_path(path.absolute()), *check_file(path)) for path in sources]


class Record(msgspec.Struct):
    """The description written next to the ids."""

    stamps: list[Stamp]
    dtype: Dtype
    size: Size
    sha256: str
    vocabulary: dict[str, Any]
    checksum: int  # CRC-32 of the ids


class Built(msgspec.Struct):
    """Which vocabulary was built from the files with some choice of settings, by its digest."""

    stamps: list[Stamp]
    vocabulary: str


Kept = TypeVar("Kept", bound=msgspec.Struct)


class IdCache:
    """The encoded texts of some files in a cache folder: ``<key>.ids``, the raw array, and ``<key>.json``.

    The key is made of the files, how they are read, and the vocabulary: a text for which a vocabulary was built is
    found again by those who are given that vocabulary. ``choice`` are the settings with which one is built;
    ``<key of the choice>.json`` then says which. All files have checksums; one that is damaged counts as missing.
    """

    def __init__(
        self, folder: Path, sources: Sequence[Path], settings: Sequence[object], choice: object = None
    ) -> None:
        self._folder = folder
        self._about = [[str(path.absolute()) for path in sources], settings]
        self._choice = choice
        remove_orphans(folder)

    def _path(self, part: object, suffix: str) -> Path:
        key = hashlib.sha256(json.dumps([*self._about, part]).encode()).hexdigest()[:24]
        return self._folder / f"{key}{suffix}"

    def load(self, stamps: list[Stamp], digest: str | None) -> tuple[Ids, Vocabulary, Record] | None:
        """Return the corpus in the vocabulary of a digest (None: in the one built from it), its ids memory-mapped.

        None if it is not cached, is damaged, or its files have changed.
        """
        try:
            if digest is None:
                built = read_checked(self._path(self._choice, ".json"), Built)
                if built.stamps != stamps:
                    return None
                digest = built.vocabulary
            record = read_checked(self._path(digest, ".json"), Record)
            if record.stamps != stamps:
                return None
            path = self._path(digest, ".ids")
            ids = np.memmap(path, record.dtype, mode="r")
            vocabulary = Vocabulary.from_json(record.vocabulary)
        except (OSError, ValueError, msgspec.MsgspecError, VocabularyError):
            return None
        if len(ids) != record.size.tokens:
            return None
        if checksum_of(ids) != record.checksum:
            logger.warning("%s is damaged: its checksum is wrong; the text is encoded again", path)
            return None
        return ids, vocabulary, record

    def write_ids(self, parts: Iterable[Ids], digest: str) -> int:
        """Write the ids part by part and return their checksum; an error leaves no partial file.

        Raises TextError on a full disk.
        """
        checksum = 0
        with writing(self._path(digest, ".ids")) as file:
            for part in parts:
                file.write(part.data)
                checksum = zlib.crc32(part.data, checksum)
        return checksum

    def write_record(self, record: Record, digest: str) -> Ids:
        """Write the record, which makes the ids valid; return them memory-mapped."""
        write_checked(self._path(digest, ".json"), record)
        if self._choice is not None:
            self._remove_outdated(record)
            write_checked(self._path(self._choice, ".json"), Built(record.stamps, digest))
        return np.memmap(self._path(digest, ".ids"), record.dtype, mode="r")

    def _remove_outdated(self, record: Record) -> None:
        """Remove what was encoded in the vocabulary of the files as they were before."""
        with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError):  # none, or (on Windows) in use
            earlier = read_checked(self._path(self._choice, ".json"), Built)
            outdated = self._path(earlier.vocabulary, ".json")
            if read_checked(outdated, Record).stamps != record.stamps:
                outdated.unlink()
                outdated.with_suffix(".ids").unlink()


def checksum_of(ids: NDArray[Any]) -> int:
    """Return the CRC-32 of memory-mapped ids, without keeping them in memory."""
    checksum = 0
    for start in range(0, len(ids), CHECKED_AT_ONCE):
        checksum = zlib.crc32(ids[start : start + CHECKED_AT_ONCE].data, checksum)
        release_pages(ids)
    return checksum


def write_checked(path: Path, record: msgspec.Struct) -> None:
    """Write a record as JSON, after a line with its CRC-32."""
    data = msgspec.json.encode(record)
    with writing(path) as file:
        file.write(b"%08x\n%b" % (zlib.crc32(data), data))


def read_checked(path: Path, kind: type[Kept]) -> Kept:
    """Return the record that `write_checked` wrote. Raises OSError, ValueError or MsgspecError."""
    checksum, _, data = path.read_bytes().partition(b"\n")
    if checksum != b"%08x" % zlib.crc32(data):
        raise ValueError(f"{path} is damaged")
    return msgspec.json.decode(data, type=kind)
