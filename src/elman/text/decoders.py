"""Tokens to text, one by one, as a model draws them."""

import codecs
from collections.abc import Callable
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
    """Waits for the whole of each character; bytes that are not UTF-8 become U+FFFD, and one cut off is left out."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: str) -> str:
        """Return the text that this token completes."""
        return self._decoder.decode(token.encode("latin-1"))

    def finish(self) -> str:
        """Return nothing: what is still held back is no whole character."""
        self._decoder.reset()
        return ""


class SubwordDecoder:
    """Waits for the whole of each character, of which pieces may be parts, and starts a line after each ``<eos>``.

    ``bytes_of`` returns the bytes of a piece. Bytes that are not UTF-8 are left out: a model may draw them, but
    no text is made of them. Where a tokenizer ``leads`` each line with a blank, that is left out too.
    """

    def __init__(self, bytes_of: Callable[[str], bytes], leads: bool) -> None:
        self._bytes_of, self._leads = bytes_of, leads
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._at_line_start = True

    def push(self, token: str) -> str:
        """Return the text that this token completes."""
        if token == EOS:
            self._decoder.reset()
            self._at_line_start = True
            return "\n"
        text = self._decoder.decode(self._bytes_of(token))
        if not text:
            return ""
        led = self._leads and self._at_line_start
        self._at_line_start = False
        return text.removeprefix(" ") if led else text

    def finish(self) -> str:
        """Return nothing: what is still held back is no whole character."""
        self._decoder.reset()
        return ""
