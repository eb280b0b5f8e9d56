"""Surprisal: how unexpected each token of a text is, -log2 P(token | past)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.models.base import LogProbs
from elman.models.text_model import TextModel
from elman.text.offsets import token_offsets


@dataclass(frozen=True)
class TokenScore:
    """One token: its surprisal in bits, its rank among all tokens (1: the most probable), and whether it is unknown.

    It stands in the given text as ``text[start:end]`` (see `elman.text.offsets.token_offsets`); the end of a line
    that was added has no extent. ``entropy_bits`` is that of the distribution before it: the surprisal to expect.
    A token without an id (unknown to a closed vocabulary) has infinite surprisal and no rank (0).
    """

    token: str
    surprisal_bits: float
    rank: int
    unknown: bool
    start: int
    end: int
    entropy_bits: float

    @property
    def probability(self) -> float:
        """P(token | past)."""
        return math.exp2(-self.surprisal_bits)


class TokenReader:
    """Reads lines token by token, from a one-lane state on: the beginning of a line unless one is given.

    ``state`` is the one after what was read: the next line that is read goes on from there.
    """

    def __init__(self, text_model: TextModel, state: Any = None) -> None:
        self._text_model = text_model
        self.state = text_model.begin_sentence() if state is None else state

    def read(self, line: str, eos: bool = True) -> Iterator[TokenScore]:
        """Yield the score of every token of a line and, with ``eos``, of its end. One without an id is not read."""
        text_model, model = self._text_model, self._text_model.model
        tokens, ids = text_model.encode_line(line) if eos else text_model.encode(line)
        offsets = token_offsets(text_model.tokenizer, line + "\n" if eos else line)[: len(tokens)]
        places = np.minimum(offsets, len(line)).tolist()
        unknown = text_model.is_unknown(tokens).tolist()
        for token, id_, is_unknown, (start, end) in zip(tokens, ids.tolist(), unknown, places, strict=True):
            log_probs = model.next_log_probs(self.state)[0]
            entropy = entropy_bits(log_probs)
            if id_ < 0:
                yield TokenScore(token, math.inf, 0, True, start, end, entropy)
                continue
            rank = 1 + int((log_probs > log_probs[id_]).sum())
            surprisal = 0.0 - float(log_probs[id_]) / math.log(2)
            self.state = model.feed(np.array([[id_]]), self.state)
            yield TokenScore(token, surprisal, rank, is_unknown, start, end, entropy)


def token_scores(
    text_model: TextModel, line: str, bos: bool = True, eos: bool = True
) -> Iterator[TokenScore]:
    """Yield the score of every token of one line and, with ``eos``, of its end.

    The first is predicted from the end of a line; without ``bos`` from nothing. A token without an id is not read.
    """
    state = text_model.begin_sentence() if bos else text_model.null_context()
    return TokenReader(text_model, state).read(line, eos)


def entropy_bits(log_probs: LogProbs) -> float:
    """Return -Σ P log2 P of a distribution given as ln P (V,)."""
    possible = log_probs[log_probs > -np.inf].astype(np.float64)
    return 0.0 - float(np.exp(possible) @ possible) / math.log(2)
