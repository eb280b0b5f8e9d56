"""Input of commands: lines, groups, standard input, and texts as ids.

Standard input as a file: it can be read twice then, mapped, and gone back to.

Lines of a file or of standard input, as they come.

A text that a command is given, as ids of the model's.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from elman.errors import TextError
from elman.text import datasets
from elman.text.corpus import Corpus, encode_corpus
from elman.text.reading import read_text
from elman.text_model import TextModel

STANDARD_INPUT = "-"


def open_input() -> BinaryIO:
    """Return standard input as a stream of bytes. Raises TextError where it is closed."""
    if sys.stdin is None:
        raise TextError("standard input is closed; redirect a file to it, or name one")
    return sys.stdin.buffer


@contextlib.contextmanager
def spooled(folder: Path) -> Iterator[Path]:
    """Yield a file in ``folder`` that holds standard input; errors about it within name standard input."""
    path = datasets.spool(open_input(), folder)
    try:
        yield path
    except TextError as error:
        raise TextError(str(error).replace(str(path), "standard input")) from error


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[Path]:
    """Yield standard input as a file that stays in ``folder`` if the block ends well, in place of earlier ones."""
    earlier = set(folder.glob("stdin-*.txt"))
    with spooled(folder) as path:
        try:
            yield path
        except BaseException:
            if path not in earlier:
                path.unlink()
            raise
    for each in earlier - {path}:
        each.unlink()


def read_lines(name: str, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of a file (- is standard input), without their newlines, in memory for a part or a line."""
    return chain.from_iterable(read_groups(name, encoding))


def read_groups(name: str, encoding: str = "utf-8") -> Iterator[list[str]]:
    """Yield the lines that are there, group by group: of a file a part of it, of a pipe those that have come."""
    source = open_input() if name == STANDARD_INPUT else Path(name)
    return _split(read_text(source, encoding))


def _split(chunks: Iterable[str]) -> Iterator[list[str]]:
    held: list[str] = []
    for chunk in chunks:
        first, *others = chunk.split("\n")
        held.append(first)
        if others:
            *whole, last = "".join(held), *others
            yield whole
            held = [last]
    if last := "".join(held):
        yield [last]


@contextlib.contextmanager
def encoded(text_model: TextModel, text: str, split: str, encoding: str) -> Iterator[Corpus]:
    """Yield a text as ids in a temporary file, so that the memory does not grow with its length."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if text == STANDARD_INPUT:
            sources = [stack.enter_context(spooled(folder))]
        else:
            sources = datasets.resolve(text, split)
        yield encode_corpus(
            sources, text_model.tokenizer, cache=folder, vocabulary=text_model.vocabulary, encoding=encoding
        )
