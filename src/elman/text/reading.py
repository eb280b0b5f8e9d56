"""Read bytes as a stream of text: decompressed, decoded, with one kind of newline, in Unicode NFC."""

import codecs
import hashlib
import io
import logging
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from elman.errors import ConfigError, TextError
from elman.files import reason
from elman.text.compressed import decompressed

READ_ON = "(in score, surprisal, eval, compare, mix, normalise, train) read on with `errors='replace'`"
CHUNK = 1 << 20  # bytes
BOM = "\ufeff"
Source = Path | str | BinaryIO
Errors = Literal["strict", "replace", "skip"]  # what happens to lines that are not in the encoding
MARK = "mark"  # of `decode`: leave `INVALID` in the text, for callers that number the lines
INVALID = "\udfff"  # stands for bytes that are not in the encoding; no decoded text has it
REPLACEMENT = "\ufffd"

logger = logging.getLogger(__name__)


def read_text(
    source: Source, encoding: str = "utf-8", chunk_size: int = CHUNK, errors: str = "strict"
) -> Iterator[str]:
    r"""Yield the text of a file or binary stream in chunks of about ``chunk_size`` bytes.

    Compressed text is decompressed. A byte order mark at the beginning of a line is dropped, ``\r\n`` and ``\r``
    become ``\n``, and the text is in Unicode NFC: the joined chunks are the same for every chunk size. Data from a pipe
    is yielded as it arrives.

    Raises:
        TextError: the file is missing, unreadable, binary or in another encoding; in the last case the text before
            the bad byte is yielded first.
        ConfigError: the encoding is unknown.
    """
    return decode(read_bytes(source, chunk_size), source_name(source), encoding, errors)


def source_name(source: Source) -> str:
    """Return the name of a file or stream for error messages."""
    return str(source) if isinstance(source, (str, Path)) else str(getattr(source, "name", "the input"))


def read_bytes(source: Source, chunk_size: int = CHUNK, name: str | None = None) -> Iterator[bytes]:
    """Yield the bytes of a file or binary stream, decompressed; those of a pipe as they arrive.

    Errors call it ``name``. Raises TextError on failure.
    """
    return decompressed(read_raw(source, chunk_size), name or source_name(source), chunk_size)


def read_raw(source: Source, chunk_size: int = CHUNK) -> Iterator[bytes]:
    """Yield the bytes of a file or binary stream as they are. Raises TextError on failure."""
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


def sha256_of(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of the bytes of files, one after the other. Raises TextError for an unreadable file."""
    digest = hashlib.sha256()
    for path in paths:
        for chunk in read_raw(path):
            digest.update(chunk)
    return digest.hexdigest()


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


def decode(
    chunks: Iterable[bytes], name: str, encoding: str = "utf-8", errors: str = "strict"
) -> Iterator[str]:
    """Yield the text of a stream of bytes as ``read_text`` does; messages call the stream ``name``.

    ``errors`` is one of `Errors`, or `MARK`. Lines that are replaced or skipped are counted in a warning at the end; a
    NUL byte counts as invalid, too.
    """
    text = _drop_bom(_decode(chunks, name, encoding, errors))
    if errors == "strict":
        return nfc(_refuse_binary(text, name))
    marked = (chunk.replace("\0", INVALID) for chunk in text)
    return nfc(marked if errors == MARK else InvalidLines(name, encoding, errors).of(marked))


def check_errors(errors: str) -> None:
    """Raise ConfigError unless ``errors`` is one of `Errors`."""
    if errors not in get_args(Errors):
        raise ConfigError(f"`errors` must be one of {', '.join(get_args(Errors))}, got {errors!r}")


class InvalidLines:
    """Replaces or skips the lines that hold `INVALID`, and counts them."""

    def __init__(self, name: str, encoding: str, errors: str) -> None:
        self._name, self._encoding, self._errors = name, encoding, errors
        self._count = 0

    def kept(self, line: str) -> str | None:
        """Return a line with U+FFFD for what is invalid; None if it is to be skipped."""
        if INVALID not in line:
            return line
        self._count += 1
        return line.replace(INVALID, REPLACEMENT) if self._errors == "replace" else None

    def of(self, chunks: Iterable[str]) -> Iterator[str]:
        """Yield a text without invalid lines, or with their bytes replaced; then log how many there were."""
        for block in _whole_lines(chunks):
            if INVALID not in block:
                yield block
                continue
            *lines, last = block.split("\n")
            ended = [f"{line}\n" for line in lines] + ([last] if last else [])
            yield "".join(line for line in map(self.kept, ended) if line is not None)
        self.report()

    def report(self) -> None:
        """Log a warning with the number of invalid lines, if there were any."""
        if self._count:
            warn_of_invalid(self._name, self._count, self._encoding, self._errors)


def warn_of_invalid(name: str, count: int, encoding: str, errors: str) -> None:
    """Log a warning that a text has ``count`` lines that are not in its encoding; its record has ``invalid``."""
    what = "skipped" if errors == "skip" else "replaced bytes in"
    lines = "line" if count == 1 else "lines"
    extra = {"invalid": (name, count, encoding, errors)}
    logger.warning("%s: %s %s %s not in %s", name, what, f"{count:,}", lines, encoding, extra=extra)


def _whole_lines(chunks: Iterable[str]) -> Iterator[str]:
    """Yield a text cut after newlines; only the last block may lack one."""
    waiting: list[str] = []
    for chunk in chunks:
        cut = chunk.rfind("\n") + 1
        if cut:
            yield "".join((*waiting, chunk[:cut]))
            waiting = []
        waiting.append(chunk[cut:])
    yield "".join(waiting)


def _mark_invalid(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return INVALID, error.end


MARKED = "elman.invalid"  # the name of the error handler that puts `INVALID` into decoded text
codecs.register_error(MARKED, _mark_invalid)


def normalise(text: str) -> str:
    r"""Return a text as ``read_text`` would give it: no byte order marks, ``\n`` for newlines, Unicode NFC."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text
    if BOM in text:
        text = LINE_MARKS.sub("", text)
    return unicodedata.normalize("NFC", text)


LINE_MARKS = re.compile(f"^{BOM}+", re.MULTILINE)  # files joined by `cat` have some within


def _decode(chunks: Iterable[bytes], name: str, encoding: str, errors: str) -> Iterator[str]:
    try:
        "".encode(encoding)
        strict = codecs.getincrementaldecoder(encoding)("strict" if errors == "strict" else MARKED)
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
            f"name the file's encoding with `encoding` (latin-1, cp949, utf-16), or {READ_ON}"
        ) from error
    except UnicodeError as error:  # a plain one: UTF-16 and UTF-32 without a byte order mark
        raise TextError(
            f"{name} does not begin with a byte order mark, so {encoding} does not say the order of its bytes; "
            f"try `encoding='{encoding}-le'` or `encoding='{encoding}-be'`"
        ) from error


def _drop_bom(chunks: Iterable[str]) -> Iterator[str]:
    """Yield a text without the byte order marks at the beginnings of lines, as `normalise` does."""
    at_start = True
    for chunk in filter(None, chunks):
        text = chunk
        if BOM in chunk:
            text = LINE_MARKS.sub("", chunk)
            if not at_start and chunk[0] == BOM:
                text = chunk[: len(chunk) - len(chunk.lstrip(BOM))] + text
        if text:
            at_start = text[-1] == "\n"
            yield text


def _refuse_binary(chunks: Iterable[str], name: str) -> Iterator[str]:
    for chunk in chunks:
        if "\0" in chunk:
            raise TextError(
                f"{name} holds NUL bytes, so it is not text in this encoding; "
                f"give its `encoding` (utf-16), read it as bytes, or {READ_ON}"
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
