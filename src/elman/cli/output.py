"""Write text to standard output: whole into files and pipes, with control characters made visible on a terminal.

A line of a log may hold escape sequences that would move the cursor of a terminal or change its colours.
"""

import re
import sys
from typing import IO, Any

import click

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but the tab and the newline


def write(text: str, file: IO[Any] | None = None) -> None:
    """Write a text as it is, without a newline; on a terminal control characters appear as ``\\x1b``."""
    stream = sys.stdout if file is None else file
    click.echo(for_stream(text, stream), file, nl=False, color=True)  # True: escape sequences are not removed


def write_line(text: str, file: IO[Any] | None = None) -> None:
    """Write a text and a newline: see `write`."""
    write(f"{text}\n", file)


def for_stream(text: str, stream: IO[Any] | None) -> str:
    """Return a text for a stream: as it is, or with visible control characters for a terminal."""
    return visible(text) if stream is not None and stream.isatty() else text


def visible(text: str) -> str:
    r"""Return a text with its control characters, except tabs and newlines, as ``\x1b``."""
    return CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
