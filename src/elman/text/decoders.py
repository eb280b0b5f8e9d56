"""Decode tokens to text one at a time, as a model generates them."""

import codecs
from collections.abc import Callable
from typing import Protocol

from elman.text.jamo import composed, is_initial

EOS = "<eos>"


class Decoder(Protocol):
    """Turns tokens into text one at a time."""

    def push(self, token: str) -> str:
        """Return the text that this token completes; empty if it ends within a character."""
        ...

    def finish(self) -> str:
        """Return the text that is still buffered."""
        ...


class WordDecoder:
    """Puts a space between words and starts a new line after each ``<eos>``."""

    def __init__(self) -> None:
        self._at_line_start = True

    def push(self, token: str) -> str:
        """Return the text that this token completes."""
        space = "" if self._at_line_start or token == EOS else " "
        self._at_line_start = token == EOS
        return "\n" if token == EOS else space + token

    def finish(self) -> str:
        """Return nothing: no text is ever buffered."""
        return ""


class CharDecoder:
    """Returns every character as it is."""

    def push(self, token: str) -> str:
        """Return the text that this token completes."""
        return token

    def finish(self) -> str:
        """Return nothing: no text is ever buffered."""
        return ""


class JamoDecoder:
    """Holds back the letters of a Hangul syllable until it is complete; letters that make none are given as they are.

    A syllable without a final is complete when a token follows that is no final.
    """

    def __init__(self) -> None:
        self._held = ""  # an initial, or a syllable that a final may still join

    def push(self, token: str) -> str:
        """Return the text that this token completes."""
        before, self._held = self._held, ""
        if before and len(token) == 1 and (syllable := composed(before, token)):
            if is_initial(before):
                self._held = syllable
                return ""
            return syllable
        if is_initial(token):
            self._held = token
            return before
        return before + token

    def held_before(self, token: str) -> int:
        """Return how many characters that are held back would come before a token: 0 if it joins them, or 1."""
        return int(self._held != "" and not (len(token) == 1 and composed(self._held, token)))

    def finish(self) -> str:
        """Return the syllable or the letter that is still buffered."""
        held, self._held = self._held, ""
        return held


class ByteDecoder:
    """Buffers the bytes of each character until it is complete.

    Bytes that are not UTF-8 become U+FFFD; an incomplete character at the end is left out.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: str) -> str:
        """Return the text that this token completes."""
        return self._decoder.decode(token.encode("latin-1"))

    def finish(self) -> str:
        """Return nothing: what is still buffered is not a complete character."""
        self._decoder.reset()
        return ""


class SubwordDecoder:
    """Buffers pieces until their bytes complete a character, and starts a new line after each ``<eos>``.

    ``bytes_of`` returns the bytes of a piece. Bytes that are not UTF-8, which a model may generate, are left out.
    So is the space with which a tokenizer begins each line if ``leads``.
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
        """Return nothing: what is still buffered is not a complete character."""
        self._decoder.reset()
        return ""
