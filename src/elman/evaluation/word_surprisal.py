"""Surprisal of whole words, whatever the model's tokens: what a study of reading times needs."""

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from elman.evaluation.surprisal import TokenReader, TokenScore
from elman.models.text_model import TextModel
from elman.text.tokenizers import EOS


@dataclass(frozen=True)
class WordScore:
    """The word ``line[start:end]``, at its ``position`` in the line from 1 on; last `<eos>`, the end, without extent.

    ``surprisal_bits`` is the sum over its tokens; ``entropy_bits`` and ``rank`` are those of its first token, and
    are about tokens. It is ``unknown`` if a token of it is.
    """

    position: int
    word: str
    surprisal_bits: float
    entropy_bits: float
    rank: int
    unknown: bool
    start: int
    end: int

    @property
    def probability(self) -> float:
        """P(word | past)."""
        return math.exp2(-self.surprisal_bits)


def word_scores(text_model: TextModel, line: str, reader: TokenReader | None = None) -> Iterator[WordScore]:
    """Yield the score of every word of one line, what stands between blanks, and of its end.

    The first is predicted from the end of a line, or from where ``reader`` is. A token belongs to the word that its
    first character that is no blank stands in, so that the surprisals add up to the line's: a piece of subwords
    that begins with a blank belongs to the word that it begins. A token that is a blank, as in a model of
    characters or bytes, belongs to the word that it ends: those that begin a line to its first word, and those of a
    line without words to its end.
    """
    words = [found.span() for found in re.finditer(r"\S+", line)]
    starts = [start for start, _ in words]
    eos = text_model.vocabulary.eos
    index = 0

    def word_of(token: TokenScore) -> int:
        nonlocal index
        if token.token == eos and token.start == token.end:
            index = len(words)
        else:
            index = max(index, _first_word(line[token.start : token.end], token.start, starts))
        return index

    tokens = (reader or TokenReader(text_model)).read(line)
    for k, group in groupby(tokens, key=word_of):
        start, end = words[k] if k < len(words) else (len(line), len(line))
        yield _summed(list(group), k + 1, line[start:end] or EOS, start, end)


def _first_word(piece: str, start: int, starts: Sequence[int]) -> int:
    """Return which word a piece of a line begins in; of blanks, 0."""
    visible = piece.lstrip()
    return bisect_right(starts, start + len(piece) - len(visible)) - 1 if visible else 0


def _summed(tokens: Sequence[TokenScore], position: int, word: str, start: int, end: int) -> WordScore:
    first = tokens[0]
    bits = sum(token.surprisal_bits for token in tokens)
    unknown = any(token.unknown for token in tokens)
    return WordScore(position, word, bits, first.entropy_bits, first.rank, unknown, start, end)
