"""Write text to standard output: whole into files and pipes, with control characters made visible on a terminal.

A line of a log may hold escape sequences that would move the cursor of a terminal or change its colours.
"""

import re
import sys
from collections.abc import Sequence
from typing import IO, Any

import click

from elman.language import translate
from elman.results import format_table

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but the tab and the newline


def write(text: str, file: IO[Any] | None = None) -> None:
    """Write a text as it is, without a newline; on a terminal control characters appear as ``\\x1b``."""
    stream = sys.stdout if file is None else file
    click.echo(for_stream(text, stream), file, nl=False, color=True)  # True: escape sequences are not removed


def write_line(text: str, file: IO[Any] | None = None) -> None:
    """Write a text and a newline: see `write`."""
    write(f"{text}\n", file)


def table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a table for people, with its headings in the user's language, and cells other than the names."""
    head, *others = rows
    shown = [[*row[:left], *map(translate, row[left:])] for row in others]
    return format_table([list(map(translate, head)), *shown], left)


def prose_table(rows: Sequence[Sequence[str]], left: int = 2) -> str:
    """Return a table of which all cells are prose, such as definitions, in the user's language."""
    return format_table([list(map(translate, row)) for row in rows], left)


def for_stream(text: str, stream: IO[Any] | None) -> str:
    """Return a text for a stream: as it is, or with visible control characters for a terminal."""
    return visible(text) if stream is not None and stream.isatty() else text


def visible(text: str) -> str:
    r"""Return a text with its control characters, except tabs and newlines, as ``\x1b``."""
    return CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
