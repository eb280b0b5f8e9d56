"""Many texts at once, as lanes side by side: the products are as large as those of training."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import is_torch
from elman.models.base import Ids, LanguageModel
from elman.threads import suited_threads

LEAST_LANES = 64  # where there are as many texts: fewer make the products small
BLOCK_TOKENS = 2048  # of all lanes, read at a time: bounds the memory whatever the texts' lengths


def text_nlls(model: LanguageModel, texts: Sequence[Ids], start: Any) -> NDArray[np.float64]:
    """Return -ln P in nats of every text of ids, each read from the one-lane state ``start``.

    Texts of like length are read together, so that few positions are padding. -1 stands for a token that the
    vocabulary does not have: such a text has probability 0 (infinity here), and is not read.
    """
    nlls = np.zeros(len(texts))
    lengths = np.array([len(ids) for ids in texts], np.intp)
    possible = np.array([ids.min(initial=0) >= 0 for ids in texts], bool)
    nlls[~possible] = np.inf
    (readable,) = np.nonzero(possible & (lengths > 0))
    places = iter(readable[np.argsort(-lengths[readable], kind="stable")].tolist())  # the longest first
    with suited_threads(multiplications(model, int(lengths[readable].sum()))):
        while batch := list(islice(places, 1)):
            batch += islice(places, max(LEAST_LANES, BLOCK_TOKENS // len(texts[batch[0]])) - 1)
            nlls[batch] = _batch_nlls(model, [texts[place] for place in batch], start)
    return nlls


def _batch_nlls(model: LanguageModel, texts: Sequence[Ids], start: Any) -> NDArray[np.float64]:
    """Return -ln P of N texts, the longest first, as N lanes; those that have ended leave between blocks."""
    nlls = np.zeros(len(texts))
    lengths = np.array([len(ids) for ids in texts])
    state = start.select([0] * len(texts))
    first = 0
    while N := int((lengths > first).sum()):
        T = min(int(lengths[0]) - first, max(1, BLOCK_TOKENS // N))
        counted = first + np.arange(T) < lengths[:N, None]  # (N, T): False in the padding
        ids = np.zeros((N, T), np.intp)
        ids[counted] = np.concatenate([text[first : first + T] for text in texts[:N]])
        if state.lanes > N:
            state = state.select(range(N))
        log_probs, state = model.target_log_probs(ids, state, counted)
        nlls[:N] -= log_probs.sum(axis=1, dtype=np.float64)
        first += T
    return nlls


def multiplications(model: LanguageModel, tokens: int) -> int:
    """Return the number in the largest product of a block; 0 where the model shares it among threads by itself."""
    weights = getattr(model, "params", [])
    if not weights or is_torch(weights[0]):
        return 0
    return min(tokens, BLOCK_TOKENS) * max(int(weight.size) for weight in weights)
