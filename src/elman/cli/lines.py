"""Lines of a file or of standard input, as they come."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from elman.cli.standard_input import NAME, open_input
from elman.text.reading import read_text


def read_lines(name: str, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of a file (- is standard input), without their newlines, in memory for one line."""
    source = open_input() if name == NAME else Path(name)
    return _split(read_text(source, encoding))


def _split(chunks: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    for chunk in chunks:
        first, *others = chunk.split("\n")
        held.append(first)
        for line in others:
            yield "".join(held)
            held = [line]
    if last := "".join(held):
        yield last
