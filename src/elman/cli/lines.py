"""Lines of a file or of standard input, as they come."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from elman.cli.standard_input import NAME, open_input
from elman.text.reading import read_text


def read_lines(name: str, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of a file (- is standard input), without their newlines, in memory for a part or a line."""
    return chain.from_iterable(read_groups(name, encoding))


def read_groups(name: str, encoding: str = "utf-8") -> Iterator[list[str]]:
    """Yield the lines that are there, group by group: of a file a part of it, of a pipe those that have come."""
    source = open_input() if name == NAME else Path(name)
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
