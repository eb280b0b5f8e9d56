"""Scores of the tokens of a sentence under the names of KenLM: log10 P, n-gram length, whether it is unknown."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from elman.evaluation.line_scores import BLOCK
from elman.models.tokenized import TokenizedModel, ngram_lengths, reading_threads


class FullScore(NamedTuple):
    """A token's log10 P(token | past), the number of tokens that it depends on (itself included), if it is unknown."""

    log10_prob: float
    ngram_length: int
    unknown: bool


def full_scores(
    text_model: TokenizedModel, sentence: str | bytes, bos: bool = True, eos: bool = True
) -> Iterator[FullScore]:
    """Yield the `FullScore` of every token: see `elman.TextModel.full_scores`."""
    tokens, ids = text_model.encode_line(sentence) if eos else text_model.encode(sentence)
    unknown = text_model.is_unknown(tokens).tolist()
    state = text_model.begin_sentence() if bos else text_model.null_context()
    read = int(bos and text_model.start_id is not None)
    for first in range(0, len(ids), BLOCK):
        block = ids[first : first + BLOCK]
        known = block >= 0
        log10_probs, lengths = np.full(len(block), -math.inf), np.zeros(len(block), np.int64)
        if known.any():
            known_ids = block[known][None].astype(np.intp)
            lengths[known] = ngram_lengths(text_model.model, known_ids, state, read)[0]
            with reading_threads(known_ids.size, text_model.model):
                log_probs, state = text_model.model.target_log_probs(known_ids, state)
            log10_probs[known] = log_probs[0] / math.log(10)
            read += known_ids.size
        flags = unknown[first : first + BLOCK]
        yield from map(FullScore, log10_probs.tolist(), lengths.tolist(), flags)
