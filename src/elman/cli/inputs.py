"""Input of commands: `-` is standard input."""

import sys
from typing import BinaryIO

from elman.errors import TextError

STANDARD_INPUT = "-"


def text_argument(name: str) -> str | BinaryIO:
    """Return a text argument of the library for one of the command line, where ``-`` is standard input.

    Raises:
        TextError: standard input is closed.
    """
    if name != STANDARD_INPUT:
        return name
    if sys.stdin is None:
        raise TextError("standard input is closed; redirect a file to it, or name a file")
    return sys.stdin.buffer
