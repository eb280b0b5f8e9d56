"""Text arguments: whatever a user gives as a text, as lines or as files.

A text is the path of a file (str or Path), for a corpus also a folder or the name of a corpus; a binary stream; or any
iterable of lines: a list, a generator, an open text file, a column of a table.
"""

import atexit
import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias, cast

from elman.errors import ConfigError, TextError
from elman.text import datasets
from elman.text.corpus import Corpus, encode_corpus
from elman.text.reading import MARK, MARKED, READ_ON, InvalidLines, check_errors, read_bytes, read_raw
from elman.text.tokenizers import ByteTokenizer, Tokenizer, UnendedLine, WordTokenizer, raw_bytes
from elman.text.vocabulary import Vocabulary

Text: TypeAlias = str | os.PathLike[str] | BinaryIO | Iterable[str] | Iterable[bytes]
GROUP = 1000  # lines of an iterable that are handled together
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
PLAIN = WordTokenizer()  # reads text like all tokenizers but that of bytes

logger = logging.getLogger(__name__)


class Line(NamedTuple):
    """A line without its newline, and its number in the text, from 1."""

    number: int
    text: str


def is_path(text: Text) -> bool:
    """Return whether a text argument is a path or the name of a corpus, not a stream or lines."""
    return isinstance(text, (str, os.PathLike))


def text_name(text: Text) -> str:
    """Return what messages call a text: its path or name, "standard input", or "the lines"."""
    if isinstance(text, (str, os.PathLike)):
        return os.fspath(text)
    if not hasattr(text, "read"):
        return "the lines"
    if text is getattr(sys.stdin, "buffer", None):
        return "standard input"
    return str(getattr(text, "name", "the stream"))


def read_lines(
    text: Text, encoding: str = "utf-8", errors: str = "strict", tokenizer: Tokenizer = PLAIN
) -> Iterator[str]:
    """Yield the lines of a text without their newlines, reading only a part at a time: see `read_line_groups`."""
    groups = read_line_groups(text, encoding, errors, tokenizer)
    return (line.text for line in chain.from_iterable(groups))


def read_line_groups(
    text: Text, encoding: str = "utf-8", errors: str = "strict", tokenizer: Tokenizer = PLAIN
) -> Iterator[list[Line]]:
    """Yield lines in groups: of a file the lines of each part read, of a pipe those that have arrived.

    The first group is read at once, so that nothing has been computed or written where a text is unreadable. The
    ``tokenizer`` says how text is read: that of bytes reads them as they are, cut after each newline only.

    Args:
        text: a file, a stream or an iterable.
        encoding: of the file, the stream, or of lines that are bytes.
        errors: what happens to a line that is not in the encoding: "strict" raises TextError, "replace" puts U+FFFD in
            place of the bytes, "skip" leaves the line out, but not its number; a warning says how many there were.
        tokenizer: of the model that reads the text.

    Raises:
        TextError: the file cannot be read, or is not in the encoding.
        ConfigError: an iterable holds something else than str or bytes.
    """
    check_errors(errors)
    lossy = errors != "strict"
    if isinstance(text, (str, os.PathLike)) or is_binary(text):
        source = Path(text) if isinstance(text, (str, os.PathLike)) else cast(BinaryIO, text)
        name = text_name(text)
        raw = read_bytes(source, name=name)
        chunks = tokenizer.read(raw, name, encoding, MARK if lossy else errors)
        groups = _split_lines(chunks, isinstance(tokenizer, ByteTokenizer))
    else:
        given = _checked(cast(Iterable[Any], text))
        lines = (
            line if isinstance(line, str) else _decoded(line, number, tokenizer, encoding, lossy)
            for number, line in enumerate(given, 1)
        )
        groups = iter(lambda: list(islice(lines, GROUP)), [])
    numbered = _numbered(groups)
    if lossy and not isinstance(tokenizer, ByteTokenizer):
        numbered = _valid(numbered, InvalidLines(text_name(text), encoding, errors))
    return chain(list(islice(numbered, 1)), numbered)


def _numbered(groups: Iterable[list[str]]) -> Iterator[list[Line]]:
    number = 1
    for lines in groups:
        yield list(map(Line, range(number, number + len(lines)), lines))
        number += len(lines)


def _valid(groups: Iterable[list[Line]], invalid: InvalidLines) -> Iterator[list[Line]]:
    """Yield lines without invalid ones, or with their bytes replaced, and log how many there were."""
    try:
        for group in groups:
            kept = ((line.number, invalid.kept(line.text)) for line in group)
            yield [Line(number, text) for number, text in kept if text is not None]
    finally:  # Ctrl-C, too, which ends a log that is being followed
        invalid.report()


def warn_of_table(text: Any) -> None:
    """Log a warning if a file that is read as plain text has the name of a table."""
    if not isinstance(text, (str, os.PathLike)):
        return
    suffixes = [suffix.lower() for suffix in Path(text).suffixes[-2:]]
    table = next((suffix for suffix in suffixes if suffix in TABLES), None)
    if table is not None and Path(text).is_file():
        logger.warning(
            f"{text_name(text)} is read as plain text, with all its columns; `column='...'` names the column to read"
        )


def _split_lines(chunks: Iterable[str], as_bytes: bool) -> Iterator[list[str]]:
    unfinished: list[str] = []  # the parts of a line whose end has not been read yet
    for chunk in chunks:
        first, *others = chunk.split("\n")
        unfinished.append(first)
        if others:
            *whole, last = "".join(unfinished), *others
            yield whole
            unfinished = [last]
    if last := "".join(unfinished):
        yield [UnendedLine(last) if as_bytes else last]


def _checked(lines: Iterable[Any]) -> Iterator[str | bytes]:
    """Yield lines, each without the newline that may end it. Raises ConfigError for anything but str and bytes."""
    if hasattr(lines, "columns"):
        raise ConfigError("a table is not a text; give one of its columns, such as table['text']")
    for number, line in enumerate(lines, 1):
        if isinstance(line, str):
            yield line.removesuffix("\n")
        elif isinstance(line, bytes):
            yield line.removesuffix(b"\n")
        elif isinstance(line, Mapping) or hasattr(line, "to_pylist"):
            raise ConfigError("rows of a table are not a text; name the column of the text: `column='text'`")
        else:
            raise ConfigError(f"line {number} must be a str, got {line!r} ({type(line).__name__})")


def _decoded(line: bytes, number: int, tokenizer: Tokenizer, encoding: str, lossy: bool) -> str:
    if isinstance(tokenizer, ByteTokenizer):
        return tokenizer.prepare(line)
    try:
        return line.decode(encoding, MARKED if lossy else "strict")
    except UnicodeError as error:
        raise TextError(
            f"line {number} is not {encoding}: {line!r}; name its `encoding`, or {READ_ON}"
        ) from error


def is_binary(text: Text) -> bool:
    """Return whether a text argument is a stream of bytes; an open text file is an iterable of lines."""
    return hasattr(text, "read") and not hasattr(text, "encoding")


@contextlib.contextmanager
def source_files(
    text: Text, split: str, folder: Path, prefix: str = "text", tokenizer: Tokenizer = PLAIN
) -> Iterator[list[Path]]:
    """Yield the files of a text; a stream or lines are copied to a file in ``folder``, which errors do not name."""
    if isinstance(text, (str, os.PathLike)):
        yield datasets.resolve(text, split)
        return
    path = datasets.spool(_chunks(text, tokenizer), folder, prefix)
    try:
        yield [path]
    except TextError as error:
        raise TextError(str(error).replace(str(path), text_name(text))) from error


def _chunks(text: Text, tokenizer: Tokenizer) -> Iterator[bytes]:
    """Yield the bytes of a stream, or of lines: a str as UTF-8, bytes as they are."""
    if is_binary(text):
        yield from read_raw(cast(BinaryIO, text))
        return
    to_bytes = raw_bytes if isinstance(tokenizer, ByteTokenizer) else _utf8
    lines = (
        line if isinstance(line, bytes) else to_bytes(line) for line in _checked(cast(Iterable[Any], text))
    )
    while group := list(islice(lines, GROUP)):
        yield b"".join(line + b"\n" for line in group)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


@contextlib.contextmanager
def saved_text(text: Text, folder: Path) -> Iterator[str]:
    """Yield the path or name of a text; a stream or lines, which may be read only once, are saved in ``folder``.

    The copy stays if the block succeeds, and replaces earlier ones.
    """
    if isinstance(text, (str, os.PathLike)):
        yield os.fspath(text)
        return
    earlier = set(folder.glob("text-*.txt"))
    with source_files(text, "train", folder) as (path,):
        try:
            yield str(path)
        except BaseException:
            if path not in earlier:
                path.unlink()
            raise
    for each in earlier - {path}:
        each.unlink()


@contextlib.contextmanager
def encoded(
    text: Text,
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    split: str = "test",
    encoding: str = "utf-8",
    errors: str = "strict",
    max_tokens: int | None = None,
) -> Iterator[Corpus]:
    """Yield a text, or its first tokens, as ids of a vocabulary, in a temporary file: memory does not grow with it."""
    with (
        temporary_folder() as folder,
        source_files(text, split, folder, tokenizer=tokenizer) as files,
    ):
        if not is_path(text) and not is_binary(text):
            encoding = "utf-8"  # lines are str: the copy is ours
        yield encode_corpus(
            files,
            tokenizer,
            cache=folder,
            vocabulary=vocabulary,
            encoding=encoding,
            errors=errors,
            max_tokens=max_tokens,
        )


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that is removed at the end of the block, or when Python ends if that fails.

    It fails on Windows, where a file cannot be removed while an array is still mapped to it.
    """
    folder = Path(tempfile.mkdtemp(prefix="elman-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
