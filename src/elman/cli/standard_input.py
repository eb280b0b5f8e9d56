"""Standard input as a file: it can be read twice then, mapped, and gone back to."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from elman.errors import TextError
from elman.text import datasets

NAME = "-"


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
