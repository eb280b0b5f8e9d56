"""The offsets of a text's tokens in the text as it was given, before normalisation."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.text.jamo import letter_counts
from elman.text.reading import LINE_MARKS, starts_composition
from elman.text.tokenizers import PieceTokenizer, Tokenizer, WordTokenizer
from elman.text.vocabulary import code_points

Change = tuple[int, int, str]  # (first, last, new): the characters [first, last) become new


@dataclass(frozen=True)
class Traced:
    """A text, and for each of its characters the span ``given[starts[i]:ends[i]]`` that it came from."""

    text: str
    starts: NDArray[np.intp]
    ends: NDArray[np.intp]

    @classmethod
    def of(cls, given: str) -> "Traced":
        """Return a text without changes."""
        places = np.arange(len(given) + 1)
        return cls(given, places[:-1], places[1:])

    def changed(self, changes: Iterable[Change]) -> "Traced":
        """Return the text after changes in ascending order; every new character comes from the whole span replaced."""
        texts, starts, ends = [], [], []
        done = 0
        for first, last, new in changes:
            texts += [self.text[done:first], new]
            starts += [self.starts[done:first], np.repeat(self.starts[first], len(new))]
            ends += [self.ends[done:first], np.repeat(self.ends[last - 1], len(new))]
            done = last
        if not done:
            return self
        texts.append(self.text[done:])
        return Traced(
            "".join(texts),
            np.concatenate([*starts, self.starts[done:]]),
            np.concatenate([*ends, self.ends[done:]]),
        )

    def place(self, start: int, end: int, length: int) -> tuple[int, int]:
        """Return the place of ``text[start:end]`` in the given text, of this ``length``; an empty one at the end."""
        first = int(self.starts[start]) if start < len(self.starts) else length
        return first, max(first, int(self.ends[end - 1])) if start < end else first


def token_offsets(tokenizer: Tokenizer, text: str) -> NDArray[np.intp]:
    """Return the start and end of each token in a text, (n, 2): a token comes from ``text[start:end]``.

    The tokens are those of the normalised text (`elman.text.reading.normalise`), lower-cased if the tokenizer does
    so; the offsets count the characters of the text as given. Characters that normalisation produces together from
    one span all have that span, and so do tokens that are parts of one character (bytes, letters of a syllable, or
    subwords).
    """
    if tokenizer.level == "byte":  # nothing is normalised
        return _of_bytes(Traced.of(text), np.ones(int(_utf8_lengths(text).sum()), np.intp))
    traced = traced_normalised(text)
    if tokenizer.lower:
        traced = _composed(folded(traced, str.lower))
    if isinstance(tokenizer, PieceTokenizer):
        return _of_bytes(traced, tokenizer.byte_lengths(tokenizer.split(traced.text)))
    if tokenizer.level == "jamo":
        counts = letter_counts(traced.text)
        return np.stack([np.repeat(traced.starts, counts), np.repeat(traced.ends, counts)], axis=1)
    if tokenizer.level == "char":
        return np.stack([traced.starts, traced.ends], axis=1)
    words = tokenizer if isinstance(tokenizer, WordTokenizer) else WordTokenizer()
    places = np.array(words.spans(traced.text), np.intp).reshape(-1, 2)
    return np.stack([traced.starts[places[:, 0]], traced.ends[places[:, 1] - 1]], axis=1)


def traced_normalised(text: str) -> Traced:
    """Return a text as `elman.text.reading.normalise` returns it, with the places of its characters."""
    return _composed(_one_newline(_without_bom(Traced.of(text))))


def _of_bytes(traced: Traced, lengths: ArrayLike) -> NDArray[np.intp]:
    """Return the offsets of tokens with these lengths in bytes, which together cover the text."""
    counts = _utf8_lengths(traced.text)
    starts, ends = np.repeat(traced.starts, counts), np.repeat(traced.ends, counts)  # (bytes,)
    last = np.cumsum(lengths, dtype=np.intp)
    first = last - np.asarray(lengths, np.intp)
    start = np.append(starts, traced.ends[-1:])[first]
    return np.stack([start, np.where(first < last, ends[last - 1], start)], axis=1)


def _without_bom(traced: Traced) -> Traced:
    return traced.changed((*found.span(), "") for found in LINE_MARKS.finditer(traced.text))


def _one_newline(traced: Traced) -> Traced:
    return traced.changed((*found.span(), "\n") for found in re.finditer(r"\r\n?", traced.text))


def _composed(traced: Traced) -> Traced:
    """Return the text in NFC."""
    if unicodedata.is_normalized("NFC", traced.text):
        return traced
    return traced.changed(_compositions(traced.text))


def _compositions(text: str) -> Iterator[Change]:
    """Yield the spans of a text that NFC changes; each is normalised independently of the others."""
    cuts = [0, *(i for i in range(1, len(text)) if starts_composition(text[i])), len(text)]
    for first, last in pairwise(cuts):
        span = text[first:last]
        composed = unicodedata.normalize("NFC", span)
        if composed != span:
            yield first, last, composed


def folded(traced: Traced, fold: Callable[[str], str]) -> Traced:
    """Return the text in another case, by `str.lower` or `str.upper`; some characters become two or more."""
    longer = traced.changed((i, i + 1, new) for i, c in enumerate(traced.text) if len(new := fold(c)) != 1)
    return Traced(fold(longer.text), longer.starts, longer.ends)


def _utf8_lengths(text: str) -> NDArray[np.intp]:
    """Return the number of UTF-8 bytes of each character; 1 for a lone surrogate: a byte, or a question mark."""
    codes = code_points(text)
    lengths = 1 + (codes >= 0x80).astype(np.intp) + (codes >= 0x800) + (codes >= 0x10000)
    return np.where((codes >= 0xD800) & (codes < 0xE000), 1, lengths)
