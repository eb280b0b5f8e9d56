"""Read bytes as a stream of text: decoded, with one kind of newline, in Unicode NFC."""

import codecs
import io
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from elman.errors import ConfigError, TextError
from elman.files import reason

CHUNK = 1 << 20  # bytes
BOM = "\ufeff"
Source = Path | str | BinaryIO


def read_text(source: Source, encoding: str = "utf-8", chunk_size: int = CHUNK) -> Iterator[str]:
    r"""Yield the text of a file or binary stream in chunks of about ``chunk_size`` bytes.

    A byte order mark at the front is dropped, ``\r\n`` and ``\r`` become ``\n``, and the text is in Unicode
    NFC: the joined chunks are the same for every chunk size. Data from a pipe is yielded as it arrives.

    Raises:
        TextError: the file is missing, unreadable, binary or in another encoding; in the last case the text before
            the bad byte is yielded first.
        ConfigError: the encoding is unknown.
    """
    return decode(read_bytes(source, chunk_size), source_name(source), encoding)


def source_name(source: Source) -> str:
    """Return the name of a file or stream for error messages."""
    return str(source) if isinstance(source, (str, Path)) else str(getattr(source, "name", "the input"))


def read_bytes(source: Source, chunk_size: int = CHUNK) -> Iterator[bytes]:
    """Yield the bytes of a file or binary stream, those of a pipe as they arrive. Raises TextError on failure."""
    try:
        if isinstance(source, (str, Path)):
            with Path(source).open("rb", buffering=0) as file:
                yield from iter(lambda: file.read(chunk_size), b"")
        else:
            read = getattr(source, "read1", source.read)  # read1 does not wait for a pipe to fill the chunk
            yield from iter(lambda: read(chunk_size), b"")
    except FileNotFoundError as error:
        raise TextError(f"{source_name(source)}: there is no such file") from error
    except IsADirectoryError as error:
        raise TextError(f"{source_name(source)} is a folder, not a file") from error
    except OSError as error:
        raise TextError(f"{source_name(source)} cannot be read: {reason(error)}") from error


def check_file(path: Path) -> tuple[int, int]:
    """Return the size in bytes and modification time in ns of a regular file. Raises TextError for anything else."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise TextError(f"{path}: there is no such file") from error
    except OSError as error:
        raise TextError(f"{path} cannot be read: {reason(error)}") from error
    if stat.S_ISDIR(status.st_mode):
        raise TextError(f"{path} is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise TextError(
            f"{path} is not a regular file; to read a pipe, give - and redirect it to standard input"
        )
    return status.st_size, status.st_mtime_ns


def decode(chunks: Iterable[bytes], name: str, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the text of a stream of bytes as ``read_text`` does; errors call the stream ``name``."""
    return nfc(_refuse_binary(_drop_bom(_decode(chunks, name, encoding)), name))


def normalise(text: str) -> str:
    r"""Return a text as ``read_text`` would give it: no byte order mark, ``\n`` for newlines, Unicode NFC."""
    text = text.removeprefix(BOM).replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", text)


def _decode(chunks: Iterable[bytes], name: str, encoding: str) -> Iterator[str]:
    try:
        "".encode(encoding)
        strict = codecs.getincrementaldecoder(encoding)()
    except (LookupError, ValueError) as error:
        raise ConfigError(f"unknown encoding {encoding!r}; try utf-8, utf-16, latin-1, cp949") from error
    decoder = io.IncrementalNewlineDecoder(strict, translate=True)
    done, line = 0, 1
    try:
        for chunk in chunks:
            done += len(chunk)
            text = decoder.decode(chunk)
            line += text.count("\n")
            yield text
        chunk = b""
        yield decoder.decode(chunk, final=True)
    except UnicodeDecodeError as error:
        # error.object ends where the bytes fed so far end, whatever the decoder had buffered.
        bad = len(error.object) - error.start
        if before := chunk[:-bad]:
            text = decoder.decode(before)
            line += text.count("\n")
            yield text
        raise TextError(
            f"{name}: byte 0x{error.object[error.start]:02x} at offset {done - bad} (line {line}) is not {encoding}; "
            "name the file's encoding with `encoding` (latin-1, cp949, utf-16)"
        ) from error


def _drop_bom(chunks: Iterable[str]) -> Iterator[str]:
    texts = (chunk for chunk in chunks if chunk)
    yield next(texts, "").removeprefix(BOM)
    yield from texts


def _refuse_binary(chunks: Iterable[str], name: str) -> Iterator[str]:
    for chunk in chunks:
        if "\0" in chunk:
            raise TextError(
                f"{name} holds NUL bytes, so it is not text in this encoding; "
                "give its `encoding` (utf-16) or read it as bytes"
            )
        yield chunk


def nfc(chunks: Iterable[str]) -> Iterator[str]:
    """Yield a text in Unicode NFC: the joined output is the normal form of the joined chunks.

    Each chunk is cut before the last character at which a new composition begins; what follows the cut waits for
    the next chunk. Nothing composes with a newline, so whole lines never wait.
    """
    waiting: list[str] = []
    for chunk in chunks:
        cut = len(chunk) if chunk.endswith("\n") else _last_boundary(chunk)
        if cut is None:
            waiting.append(chunk)
            continue
        yield _nfc("".join((*waiting, chunk[:cut])))
        waiting = [chunk[cut:]]
    yield _nfc("".join(waiting))


def _nfc(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _last_boundary(text: str) -> int | None:
    return next((i for i in range(len(text) - 1, -1, -1) if starts_composition(text[i])), None)


def starts_composition(character: str) -> bool:
    """Return whether NFC normalises a text that begins with this character independently of what precedes it.

    This holds for a starter that is its own normal form and is not the second half of any canonical composition
    (Unicode Standard Annex 15). Such second halves are marks, the vowel and final letters of conjoining
    Hangul, and one Kirat Rai vowel. False is also returned for marks that compose with nothing, which is harmless.
    """
    if character < "\u0300":
        return True
    return not (
        unicodedata.category(character).startswith("M")
        or "\u1160" <= character <= "\u11ff"
        or character == "\U00016d67"
        or unicodedata.combining(character)
        or not unicodedata.is_normalized("NFC", character)
    )
