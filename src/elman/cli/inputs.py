"""Input of commands: `-` is standard input."""

import sys
from typing import BinaryIO

from elman.errors import TextError
from elman.text.reading import read_bytes
from elman.text.tokenizers import Tokenizer

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


def prompt_argument(prompt: str, tokenizer: Tokenizer, encoding: str) -> str:
    """Return the prompt of a command; ``-`` is what standard input holds, without the newline that ends it."""
    source = text_argument(prompt)
    if isinstance(source, str):
        return source
    name = "standard input"
    text = "".join(tokenizer.read(read_bytes(source, name=name), name, encoding))
    return text.removesuffix("\n")
