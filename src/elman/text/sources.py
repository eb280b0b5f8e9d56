"""Text arguments: whatever a user gives as a text, as lines or as files.

A text is the path of a file (str or Path), for a corpus also a folder or the name of a corpus; a binary stream; or any
iterable of lines: a list, a generator, an open text file, a column of a table.
"""

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

from elman.errors import ConfigError, TextError
from elman.text import datasets
from elman.text.corpus import Corpus, encode_corpus
from elman.text.reading import read_bytes, read_text
from elman.text.tokenizers import Tokenizer
from elman.text.vocabulary import Vocabulary

Text: TypeAlias = str | os.PathLike[str] | BinaryIO | Iterable[str]
GROUP = 1000  # lines of an iterable that are handled together


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


def read_lines(text: Text, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of a file, a stream or an iterable without their newlines, reading only a part at a time."""
    return chain.from_iterable(read_line_groups(text, encoding))


def read_line_groups(text: Text, encoding: str = "utf-8") -> Iterator[list[str]]:
    """Yield lines in groups: of a file the lines of each part read, of a pipe those that have arrived.

    The first group is read at once, so that nothing has been computed or written where a text is unreadable.

    Raises:
        TextError: the file cannot be read, or is not in the encoding.
        ConfigError: an iterable holds something else than str.
    """
    if isinstance(text, (str, os.PathLike)):
        groups = _split_lines(read_text(Path(text), encoding))
    elif _is_binary(text):
        groups = _split_lines(read_text(cast(BinaryIO, text), encoding))
    else:
        lines = _checked(cast(Iterable[str], text))
        groups = iter(lambda: list(islice(lines, GROUP)), [])
    return chain(list(islice(groups, 1)), groups)


def _split_lines(chunks: Iterable[str]) -> Iterator[list[str]]:
    unfinished: list[str] = []  # the parts of a line whose end has not been read yet
    for chunk in chunks:
        first, *others = chunk.split("\n")
        unfinished.append(first)
        if others:
            *whole, last = "".join(unfinished), *others
            yield whole
            unfinished = [last]
    if last := "".join(unfinished):
        yield [last]


def _checked(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines, each without the newline that may end it. Raises ConfigError for anything but str."""
    if hasattr(lines, "columns"):
        raise ConfigError("a table is not a text; give one of its columns, such as table['text']")
    for number, line in enumerate(cast(Iterable[Any], lines), 1):
        if not isinstance(line, str):
            raise ConfigError(f"line {number} must be a str, got {line!r} ({type(line).__name__})")
        yield line.removesuffix("\n")


def _is_binary(text: Text) -> bool:
    """Return whether a text argument is a stream of bytes; an open text file is an iterable of lines."""
    return hasattr(text, "read") and not hasattr(text, "encoding")


@contextlib.contextmanager
def source_files(text: Text, split: str, folder: Path, prefix: str = "text") -> Iterator[list[Path]]:
    """Yield the files of a text; a stream or lines are copied to a file in ``folder``, which errors do not name."""
    if isinstance(text, (str, os.PathLike)):
        yield datasets.resolve(text, split)
        return
    path = datasets.spool(_chunks(text), folder, prefix)
    try:
        yield [path]
    except TextError as error:
        raise TextError(str(error).replace(str(path), text_name(text))) from error


def _chunks(text: Text) -> Iterator[bytes]:
    """Yield the bytes of a stream, or of lines as UTF-8."""
    if _is_binary(text):
        yield from read_bytes(cast(BinaryIO, text))
        return
    lines = _checked(cast(Iterable[str], text))
    while group := list(islice(lines, GROUP)):
        yield "".join(f"{line}\n" for line in group).encode("utf-8", "replace")


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
    text: Text, tokenizer: Tokenizer, vocabulary: Vocabulary, split: str = "test", encoding: str = "utf-8"
) -> Iterator[Corpus]:
    """Yield a text as ids of a vocabulary, in a temporary file: memory does not grow with the text."""
    with temporary_folder() as folder, source_files(text, split, folder) as files:
        if not is_path(text) and not _is_binary(text):
            encoding = "utf-8"  # lines are str: the copy is ours
        yield encode_corpus(files, tokenizer, cache=folder, vocabulary=vocabulary, encoding=encoding)


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
