"""Decompress texts as they are read: gzip, bzip2, xz and zstd, recognised by their first bytes, whatever the name."""

import bz2
import gzip
import importlib
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from elman.errors import MissingExtra, TextError

SUFFIXES = (".bz2", ".gz", ".xz", ".zst")  # of files that are mostly compressed
STARTS = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
GZIP, BZIP2, XZ, ZSTD = map(
    re.compile,
    (rb"\x1f\x8b\x08", rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", rb"\xfd7zXZ\0", rb"\x28\xb5\x2f\xfd"),
)
LONGEST = 10  # bytes that show the kind
BUFFER = 1 << 18  # bytes that are handed on at once
PART = 1 << 14  # compressed bytes that are decompressed at once by the library zstandard


def decompressed(chunks: Iterable[bytes], name: str, size: int) -> Iterator[bytes]:
    """Yield the bytes of a stream, decompressed in chunks of up to ``size`` bytes if they are compressed.

    A stream is decompressed once: a file that was compressed twice gives compressed bytes. What is not compressed is
    yielded as it arrives. Errors call the stream ``name``.

    Raises:
        TextError: compressed data is damaged or cut off.
        MissingExtra: it is zstd, which needs Python 3.14 or the library zstandard.
    """
    parts = iter(chunks)
    start = b""
    for part in parts:
        start += part
        if not _undecided(start):
            break
    for kind, pattern, reader in (
        ("gzip", GZIP, _gzip),
        ("bzip2", BZIP2, _bzip2),
        ("xz", XZ, _xz),
        ("zstd", ZSTD, _zstd),
    ):
        if pattern.match(start):
            yield from _read(kind, reader, as_file(chain([start], parts)), name, size)
            return
    if start:
        yield start
    yield from parts


def is_compressed(start: bytes) -> bool:
    """Return whether a file that begins with these bytes, at least ten where it has so many, is compressed."""
    return any(pattern.match(start) for pattern in (GZIP, BZIP2, XZ, ZSTD))


def _undecided(start: bytes) -> bool:
    """Return whether more bytes are needed to recognise the kind."""
    return len(start) < LONGEST and any(start[: len(each)] == each[: len(start)] for each in STARTS)


def as_file(chunks: Iterable[bytes]) -> io.BufferedReader:
    """Return the bytes of an iterator as a file that is open for reading."""
    return io.BufferedReader(_Stream(iter(chunks)), BUFFER)


class _Stream(io.RawIOBase):
    def __init__(self, parts: Iterator[bytes]) -> None:
        self._waiting, self._parts = memoryview(b""), parts

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._waiting:
            self._waiting = memoryview(next(self._parts, b""))
        count = min(len(buffer), len(self._waiting))
        buffer[:count] = self._waiting[:count]
        self._waiting = self._waiting[count:]
        return count


def _read(
    kind: str, reader: Callable[..., Iterator[bytes]], file: io.BufferedReader, name: str, size: int
) -> Iterator[bytes]:
    try:
        yield from reader(file, size)
    except EOFError as error:
        raise TextError(f"{name} is compressed ({kind}) and cut off; get the whole file") from error
    except (OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise TextError(f"{name} is compressed ({kind}) and damaged: {error}") from error


def _gzip(file: Any, size: int) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as content:
        yield from iter(lambda: content.read1(size), b"")


def _bzip2(file: Any, size: int) -> Iterator[bytes]:
    with bz2.BZ2File(file) as content:
        yield from iter(lambda: content.read1(size), b"")


def _xz(file: Any, size: int) -> Iterator[bytes]:
    with lzma.LZMAFile(file) as content:
        yield from iter(lambda: content.read1(size), b"")


def _zstd(file: Any, size: int) -> Iterator[bytes]:
    """Decompress zstd with Python's own module, since 3.14, or with the library zstandard."""
    try:
        own = importlib.import_module("compression.zstd")
    except ModuleNotFoundError:
        yield from _zstandard(file)
        return
    try:
        with own.ZstdFile(file) as content:
            yield from iter(lambda: content.read1(size), b"")
    except own.ZstdError as error:
        raise ValueError(error) from error


def _zstandard(file: Any) -> Iterator[bytes]:
    try:
        library = importlib.import_module("zstandard")
    except ModuleNotFoundError as error:
        raise MissingExtra("zstandard", "zstd") from error
    frame = None
    try:
        while part := file.read1(PART):
            while part:  # a file may consist of several frames
                frame = frame or library.ZstdDecompressor().decompressobj()
                if content := frame.decompress(part):
                    yield content
                part = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
    except library.ZstdError as error:
        raise ValueError(error) from error
    if frame is not None:
        raise EOFError
