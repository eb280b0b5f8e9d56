"""Bytes to text, as a stream: decoded, with one kind of newline, in Unicode NFC."""

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
    r"""Yield the text of a file or binary stream, in pieces of about ``chunk_size`` bytes.

    A byte order mark at the front is dropped, ``\r\n`` and ``\r`` become ``\n``, and the text is in Unicode
    NFC: joined, the pieces are the same for every chunk size. What comes through a pipe is given as it comes.
    Raises TextError for a file that is missing, unreadable, binary or, after the text up to there, in another
    encoding; ConfigError for an unknown encoding.
    """
    return decode(read_bytes(source, chunk_size), source_name(source), encoding)


def source_name(source: Source) -> str:
    """Return the name under which errors speak of a file or stream."""
    return str(source) if isinstance(source, (str, Path)) else str(getattr(source, "name", "the input"))


def read_bytes(source: Source, chunk_size: int = CHUNK) -> Iterator[bytes]:
    """Yield the bytes of a file or binary stream, those of a pipe as they come; raises TextError where it fails."""
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
    """Return the size in bytes and the time of change (ns) of a regular file; else raise TextError."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise TextError(f"{path}: there is no such file") from error
    except OSError as error:
        raise TextError(f"{path} cannot be read: {reason(error)}") from error
    if stat.S_ISDIR(status.st_mode):
        raise TextError(f"{path} is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise TextError(f"{path} is not a regular file; to read a pipe, give - and redirect it to the input")
    return status.st_size, status.st_mtime_ns


def decode(chunks: Iterable[bytes], name: str, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the text of a stream of bytes, as ``read_text`` does; ``name`` stands in the errors."""
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
        # error.object ends where the bytes fed so far end, whatever the decoder had held back.
        bad = len(error.object) - error.start
        if before := chunk[:-bad]:
            text = decoder.decode(before)
            line += text.count("\n")
            yield text
        raise TextError(
            f"{name}: byte 0x{error.object[error.start]:02x} at offset {done - bad} (line {line}) is not {encoding}; "
            "name the file's encoding with --encoding (latin-1, cp949, utf-16)"
        ) from error


def _drop_bom(chunks: Iterable[str]) -> Iterator[str]:
    texts = (chunk for chunk in chunks if chunk)
    yield next(texts, "").removeprefix(BOM)
    yield from texts


def _refuse_binary(chunks: Iterable[str], name: str) -> Iterator[str]:
    for chunk in chunks:
        if "\0" in chunk:
            raise TextError(
                f"{name} holds NUL bytes, so it is no text in this encoding; "
                "name its --encoding (utf-16) or read it as bytes"
            )
        yield chunk


def nfc(chunks: Iterable[str]) -> Iterator[str]:
    """Yield a text in Unicode NFC: the pieces, joined, are the normal form of the chunks, joined.

    Each chunk is cut before its last character that no earlier one can change or be changed by; what
    follows the cut waits for the next chunk. No character can change a newline, so that whole lines do not wait.
    """
    held: list[str] = []
    for chunk in chunks:
        cut = len(chunk) if chunk.endswith("\n") else _last_boundary(chunk)
        if cut is None:
            held.append(chunk)
            continue
        yield _nfc("".join((*held, chunk[:cut])))
        held = [chunk[cut:]]
    yield _nfc("".join(held))


def _nfc(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _last_boundary(text: str) -> int | None:
    return next((i for i in range(len(text) - 1, -1, -1) if starts_afresh(text[i])), None)


def starts_afresh(character: str) -> bool:
    """Tell whether NFC treats a text that begins with this character apart from whatever stands before it.

    That is so for a starter that is its own normal form and the second half of no canonical composition
    (Unicode Standard Annex 15). Such second halves are marks, the vowel and final letters of conjoining
    Hangul, and one Kirat Rai vowel. Marks that compose with nothing are refused too, which does no harm.
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
