"""Surprisal of tokens and of words, -log2 P(token | past), with entropies and ranks.

Surprisals of whole words, whatever the model's tokens, are what studies of reading times need.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.evaluation.spelling import Spelling
from elman.models.base import LogProbs
from elman.models.tokenized import TokenizedModel
from elman.text.offsets import token_offsets
from elman.text.tokenizers import EOS
from elman.workers import limited_threads


def most_probable(log_probs: LogProbs, count: int) -> NDArray[np.intp]:
    """Return the ids of the ``count`` highest ln P (V,) in descending order; of equal ones the smaller id first."""
    count = min(count, len(log_probs))
    if count == 0:
        return np.zeros(0, np.intp)
    least = np.partition(log_probs, len(log_probs) - count)[len(log_probs) - count]
    (candidates,) = np.nonzero(log_probs >= least)  # more than `count` if several equal the least
    order = np.argsort(-log_probs[candidates], kind="stable")
    return np.asarray(candidates[order[:count]])


@dataclass(frozen=True)
class TokenScore:
    """One token: its surprisal in bits, its rank among all tokens (1: the most probable), and whether it is unknown.

    It comes from ``text[start:end]`` of the given text (see `elman.text.offsets.token_offsets`); an added end of line
    is empty. ``entropy_bits`` is the entropy of the predicted distribution, the expected surprisal. A token without
    an id (unknown to a closed vocabulary) has infinite surprisal and rank 0. ``sentence`` is the sentence's number,
    from 1, and ``kept`` are its other columns, where the sentences come from a table.
    """

    token: str
    surprisal_bits: float
    rank: int
    unknown: bool
    start: int
    end: int
    entropy_bits: float
    sentence: int = 1
    kept: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def probability(self) -> float:
        """P(token | past)."""
        return math.exp2(-self.surprisal_bits)


class TokenReader:
    """Scores lines token by token, beginning at the given state or, without one, at the beginning of a line.

    ``state`` is the state after everything read so far; the next line continues from it. Tokens without an id do not
    change it. Lines are read in a ``spelling``; the places of the tokens are those in the line as given.
    """

    def __init__(
        self, text_model: TokenizedModel, state: Any = None, spelling: Spelling | None = None
    ) -> None:
        self._text_model = text_model
        self._spelling = spelling if spelling is not None and spelling.changes else None
        self.state = text_model.begin_sentence() if state is None else state

    def read(self, line: str | bytes, eos: bool = True) -> Iterator[TokenScore]:
        """Yield the score of every token of a line and, with ``eos``, of its end."""
        if isinstance(line, bytes):
            line = self._text_model.tokenizer.prepare(line)
        text_model, model = self._text_model, self._text_model.model
        spelled = None if self._spelling is None else self._spelling.traced(line, text_model.vocabulary)
        text = line if spelled is None else spelled.text
        tokens, ids = text_model.encode_line(text) if eos else text_model.encode(text)
        offsets = token_offsets(text_model.tokenizer, text + "\n" if eos else text)[: len(tokens)]
        places = np.minimum(offsets, len(text)).tolist()
        if spelled is not None:
            places = [spelled.place(start, end, len(line)) for start, end in places]
        unknown = text_model.is_unknown(tokens).tolist()
        for token, id_, is_unknown, (start, end) in zip(tokens, ids.tolist(), unknown, places, strict=True):
            with limited_threads(0):
                log_probs = model.next_log_probs(self.state)[0]
                if id_ >= 0:
                    self.state = model.feed(np.array([[id_]]), self.state)
            entropy = entropy_bits(log_probs)
            if id_ < 0:
                yield TokenScore(token, math.inf, 0, True, start, end, entropy)
                continue
            rank = 1 + int((log_probs > log_probs[id_]).sum())
            surprisal = 0.0 - float(log_probs[id_]) / math.log(2)
            yield TokenScore(token, surprisal, rank, is_unknown, start, end, entropy)


def token_scores(
    text_model: TokenizedModel, line: str | bytes, bos: bool = True, eos: bool = True
) -> Iterator[TokenScore]:
    """Yield the score of every token of one line and, with ``eos``, of its end.

    The first token is predicted from the end of a line or, without ``bos``, from the empty context. Tokens without an
    id do not change the context.
    """
    state = text_model.begin_sentence() if bos else text_model.null_context()
    return TokenReader(text_model, state).read(line, eos)


def entropy_bits(log_probs: LogProbs) -> float:
    """Return -Σ P log2 P of a distribution given as ln P (V,)."""
    possible = log_probs[log_probs > -np.inf].astype(np.float64)
    return 0.0 - float(np.exp(possible) @ possible) / math.log(2)


@dataclass(frozen=True)
class WordScore:
    """The word ``line[start:end]`` at its ``position`` in the line, counted from 1; the last one is `<eos>`, empty.

    ``surprisal_bits`` is the sum over its tokens; ``entropy_bits`` and ``rank`` are those of its first token. It is
    ``unknown`` if one of its tokens is. ``sentence`` and ``kept`` are those of `TokenScore`.
    """

    position: int
    word: str
    surprisal_bits: float
    entropy_bits: float
    rank: int
    unknown: bool
    start: int
    end: int
    sentence: int = 1
    kept: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def probability(self) -> float:
        """P(word | past)."""
        return math.exp2(-self.surprisal_bits)


def word_scores(
    text_model: TokenizedModel, line: str | bytes, reader: TokenReader | None = None, eos: bool = True
) -> Iterator[WordScore]:
    """Yield the score of every whitespace-separated word of one line and, with ``eos``, of the end of the line.

    The first word is predicted from the end of a line, or from the state of ``reader``. Every token belongs to
    exactly one word, so that the surprisals sum to the line's: to the word with its first non-whitespace character (a
    subword piece that begins with a space belongs to the word that it begins). A token of whitespace only, as in
    models of characters or bytes, belongs to the word before it; at the beginning of a line to the first word, and in
    a line without words to the end of the line.
    """
    if isinstance(line, bytes):
        line = text_model.tokenizer.prepare(line)
    words = [found.span() for found in re.finditer(r"\S+", line)]
    starts = [start for start, _ in words]
    eos_token = text_model.vocabulary.eos
    index = 0

    def word_of(token: TokenScore) -> int:
        nonlocal index
        if token.token == eos_token and token.start == token.end:
            index = len(words)
        else:
            index = max(index, _first_word(line[token.start : token.end], token.start, starts))
        return index

    tokens = (reader or TokenReader(text_model)).read(line, eos)
    for k, group in groupby(tokens, key=word_of):
        start, end = words[k] if k < len(words) else (len(line), len(line))
        word = printable(line[start:end]) if text_model.unit == "byte" else line[start:end]
        yield _summed(list(group), k + 1, word or EOS, start, end)


def printable(line: str) -> str:
    r"""Return a line of bytes as printable text: what is no UTF-8, and control characters, as escapes (``\xe9``)."""
    return str(line) if line.isprintable() else "".join(map(_escaped, line))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # a byte, see `ByteTokenizer`
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _first_word(piece: str, start: int, starts: Sequence[int]) -> int:
    """Return the index of the word in which a piece of a line begins; 0 if it is whitespace."""
    visible = piece.lstrip()
    return bisect_right(starts, start + len(piece) - len(visible)) - 1 if visible else 0


def _summed(tokens: Sequence[TokenScore], position: int, word: str, start: int, end: int) -> WordScore:
    first = tokens[0]
    bits = sum(token.surprisal_bits for token in tokens)
    unknown = any(token.unknown for token in tokens)
    return WordScore(position, word, bits, first.entropy_bits, first.rank, unknown, start, end)
