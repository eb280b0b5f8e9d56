"""Surprisal: how unexpected each token of a text is, -log2 P(token | past)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from elman.evaluation.perplexity import begin
from elman.models.text_model import TextModel


@dataclass(frozen=True)
class TokenScore:
    """One token: its surprisal in bits, its rank among all tokens (1: the most probable), and whether it is unknown.

    A token without an id (unknown to a closed vocabulary) has infinite surprisal and no rank (0).
    """

    token: str
    surprisal_bits: float
    rank: int
    unknown: bool


def token_scores(text_model: TextModel, line: str) -> Iterator[TokenScore]:
    """Yield the score of every token of one line and of its end; the first is predicted from the end of a line."""
    model = text_model.model
    tokens, ids = text_model.encode_line(line)
    state = begin(model, text_model.start_id)
    for token, id_, unknown in zip(tokens, ids.tolist(), text_model.is_unknown(tokens).tolist(), strict=True):
        if id_ < 0:
            yield TokenScore(token, math.inf, 0, True)
            continue
        log_probs = model.next_log_probs(state)[0]
        rank = 1 + int((log_probs > log_probs[id_]).sum())
        yield TokenScore(token, 0.0 - float(log_probs[id_]) / math.log(2), rank, unknown)
        state = model.feed(np.array([[id_]]), state)
