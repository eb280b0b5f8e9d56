"""Tokens to text, one by one, as a model draws them."""

import codecs
from typing import Protocol

EOS = "<eos>"


class Decoder(Protocol):
    """Turns tokens into text one by one, as they are drawn."""

    def push(self, token: str) -> str:
        """Return the text that this token completes: empty where it ends within a character."""
        ...

    def finish(self) -> str:
        """Return what is still held back."""
        ...


class WordDecoder:
    """Puts a blank between words, and starts a line after each ``<eos>``."""

    def __init__(self) -> None:
        self._at_line_start = True

    def push(self, token: str) -> str:
        """Return the text that this token completes."""
        blank = "" if self._at_line_start or token == EOS else " "
        self._at_line_start = token == EOS
        return "\n" if token == EOS else blank + token

    def finish(self) -> str:
        """Return what is still held back."""
        return ""


class CharDecoder:
    """Hands on every character."""

    def push(self, token: str) -> str:
        """Return the text that this token completes."""
        return token

    def finish(self) -> str:
        """Return what is still held back."""
        return ""


class ByteDecoder:
    """Waits for the whole of each character; bytes that are not UTF-8 become U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: str) -> str:
        """Return the text that this token completes."""
        return self._decoder.decode(token.encode("latin-1"))

    def finish(self) -> str:
        """Return what is still held back."""
        return self._decoder.decode(b"", final=True)
