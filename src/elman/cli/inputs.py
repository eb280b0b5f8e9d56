"""Input of commands: lines of a file or of standard input, and texts as ids."""

import atexit
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from elman.errors import TextError
from elman.text import datasets
from elman.text.corpus import Corpus, encode_corpus
from elman.text.reading import read_text
from elman.text_model import TextModel

STANDARD_INPUT = "-"


def input_name(name: str) -> str:
    """Return what messages call an input: its name, or "standard input" for ``-``."""
    return "standard input" if name == STANDARD_INPUT else name


def read_lines(name: str, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of a file (- is standard input) without their newlines, reading only a part at a time."""
    return chain.from_iterable(read_line_groups(name, encoding))


def read_line_groups(name: str, encoding: str = "utf-8") -> Iterator[list[str]]:
    """Yield lines in groups: of a file the lines of each part read, of a pipe those that have arrived.

    The first group is read at once, so that a command fails before it prints anything where the input is unreadable.
    """
    source = _standard_input() if name == STANDARD_INPUT else Path(name)
    groups = _split_lines(read_text(source, encoding))
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


def _standard_input() -> BinaryIO:
    """Return standard input as a stream of bytes. Raises TextError where it is closed."""
    if sys.stdin is None:
        raise TextError("standard input is closed; redirect a file to it, or name a file")
    return sys.stdin.buffer


@contextlib.contextmanager
def encoded_text(text_model: TextModel, text: str, split: str, encoding: str) -> Iterator[Corpus]:
    """Yield a text (- is standard input) as the model's ids, in a temporary file: memory does not grow with it."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        if text == STANDARD_INPUT:
            sources = [stack.enter_context(stdin_as_file(folder))]
        else:
            sources = datasets.resolve(text, split)
        yield encode_corpus(
            sources, text_model.tokenizer, cache=folder, vocabulary=text_model.vocabulary, encoding=encoding
        )


@contextlib.contextmanager
def stdin_as_file(folder: Path) -> Iterator[Path]:
    """Copy standard input to a file in ``folder``, which can be read twice; errors name standard input, not it."""
    path = datasets.spool(_standard_input(), folder)
    try:
        yield path
    except TextError as error:
        raise TextError(str(error).replace(str(path), "standard input")) from error


@contextlib.contextmanager
def save_stdin(folder: Path) -> Iterator[Path]:
    """Copy standard input to a file that stays in ``folder`` if the block succeeds, and replaces earlier copies."""
    earlier = set(folder.glob("stdin-*.txt"))
    with stdin_as_file(folder) as path:
        try:
            yield path
        except BaseException:
            if path not in earlier:
                path.unlink()
            raise
    for each in earlier - {path}:
        each.unlink()


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
