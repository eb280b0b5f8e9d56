"""Words, and ``<eos>`` for each newline."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from elman import numba_jit
from elman.text.decoders import EOS, Decoder, WordDecoder
from elman.text.tokenizers.base import BaseTokenizer, cased
from elman.text.vocabulary import Vocabulary

Whitespace = Literal["unicode", "ascii"]  # what separates words: whitespace of any kind, or as in ARPA files
_ASCII_SPACES = " \t\n\r\x0b\x0c"
_ASCII_WORD = re.compile(f"[^{_ASCII_SPACES}]+")
_OTHER_SPACE = re.compile(r"[^\S \t\n\r\x0b\x0c]")


@dataclass(frozen=True)
class WordTokenizer(BaseTokenizer):
    """Words separated by whitespace, and ``<eos>`` for each newline.

    ``whitespace`` is "unicode", of any kind, or "ascii": space, tab and the ASCII line breaks only. Then characters
    such as U+00A0 and U+3000 are letters of words, as they are in ARPA files and for the programs that read them.
    """

    lower: bool = False
    whitespace: Whitespace = "unicode"
    level: ClassVar[str] = "word"
    eos: ClassVar[str | None] = EOS

    @property
    def digest(self) -> str | None:
        """What tells the ids of "ascii" splitting in a cache from others; None for "unicode"."""
        return None if self.whitespace == "unicode" else self.whitespace

    def tokens(self, text: str, end: bool = False) -> list[str]:
        """Return the words of a text, without the cutting that a stream needs."""
        return self.split(cased(text + "\n" if end and text and text[-1] != "\n" else text, self.lower))

    def ids(self, text: str, vocabulary: Vocabulary) -> NDArray[np.int32]:
        """Return the ids of the words of a text, found by compiled code where numba is loaded."""
        text = cased(text, self.lower)
        if numba_jit.is_loaded() and self.splits_at_ascii(text):
            return vocabulary.encode_words(text, EOS, self.separators)
        return vocabulary.encode(self.split(text))

    def splits_at_ascii(self, text: str) -> bool:
        """Return whether the words of a text are separated by ASCII's whitespace only, as in `HashedWords.find`."""
        return self.whitespace == "ascii" or text.isascii() or not has_other_whitespace(text)

    @property
    def separators(self) -> bool:
        """Whether the characters U+001C to U+001F separate words."""
        return self.whitespace != "ascii"

    def blocks(self, chunks: Iterable[str], end: bool = False) -> Iterator[str]:
        """Yield the text, cut after whitespace; ``end`` adds the newline that a last line lacks."""
        waiting: list[str] = []
        last = "\n"
        for chunk in filter(None, chunks):
            last = chunk[-1]
            cut = self._after_last_space(chunk)
            if cut == 0:
                waiting.append(chunk)
                continue
            yield cased("".join((*waiting, chunk[:cut])), self.lower)
            waiting = [chunk[cut:]]
        if end and last != "\n":
            waiting.append("\n")
        yield cased("".join(waiting), self.lower)

    def split(self, block: str) -> list[str]:
        """Return the words of a block."""
        marked = block.replace("\n", f" {EOS} ")
        # splitting at all whitespace is faster, and the same where there is none but that of ASCII
        if self.whitespace == "ascii" and _OTHER_SPACE.search(marked):
            return _ASCII_WORD.findall(marked)
        return marked.split()

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where each word and each newline of a text begins and ends."""
        word = _ASCII_WORD.pattern if self.whitespace == "ascii" else r"\S+"
        return [found.span() for found in re.finditer(rf"\n|{word}", text)]

    def decoder(self) -> Decoder:
        """Return a decoder that puts a space between words and starts a new line after each ``<eos>``."""
        return WordDecoder()

    def _after_last_space(self, text: str) -> int:
        if self.whitespace == "ascii":
            return 1 + max(text.rfind(space) for space in _ASCII_SPACES)
        if text[-1].isspace():
            return len(text)
        return len(text) - len(text.rsplit(maxsplit=1)[-1])


def has_other_whitespace(word: str) -> bool:
    """Return whether a word contains whitespace that is not ASCII's, so that only "ascii" splitting finds it."""
    return _OTHER_SPACE.search(word) is not None
