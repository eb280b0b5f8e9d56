"""How far back models look: the state of having nothing behind, and how much of the past a probability used."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.models.base import Ids, LanguageModel
from elman.models.cache import CachedModel
from elman.models.cache_state import CacheState
from elman.models.mixture import Mixture, MixtureState
from elman.models.ngram import NgramModel
from elman.models.past import BEFORE_TEXT, Past
from elman.models.window import WindowLM


def order_of(model: LanguageModel) -> int | None:
    """Return the most tokens that a probability depends on, the predicted one included; None without a limit.

    Of an n-gram model n; of a window of k words k + 1; of a mixture the largest of its members'; of a cache at
    least its size + 1. What is recurrent, or goes on learning, depends on all that it has read.
    """
    if isinstance(model, NgramModel):
        return model.order
    if isinstance(model, WindowLM):
        return model.window + 1
    if isinstance(model, CachedModel):
        own = order_of(model.model)
        return None if own is None else max(own, model.size + 1)
    if isinstance(model, Mixture):
        limits = [order for order in map(order_of, model.models) if order is not None]
        return max(limits) if len(limits) == len(model.models) else None
    return None


def ngram_lengths(model: LanguageModel, ids: Ids, state: Any, read: int) -> NDArray[np.int64]:
    """Return how many tokens the probability of each of ids (1, T) depends on, itself included: (1, T).

    ``read`` tokens were read before the one-lane ``state``. An n-gram model tells the length of the n-gram that
    it found; the others see all there is, up to their order; of a mixture, it is the most that a member sees.
    """
    if isinstance(model, NgramModel):
        return model.matched_lengths(ids, state)
    if isinstance(model, Mixture):
        pairs = zip(model.models, state.members, strict=True)
        of_members = [ngram_lengths(member, ids, own, read) for member, own in pairs]
        longest: NDArray[np.int64] = np.stack(of_members).max(axis=0)
        return longest
    lengths = read + 1 + np.arange(ids.shape[1])[None]
    order = order_of(model)
    return lengths if order is None else np.minimum(lengths, order)


def null_context(model: LanguageModel) -> Any:
    """Return the one-lane state of nothing behind, not even the beginning of a sentence."""
    if isinstance(model, NgramModel):
        return Past.of(np.full((1, model.order - 1), BEFORE_TEXT))
    if isinstance(model, Mixture):
        return MixtureState(tuple(null_context(member) for member in model.models))
    state = model.start()
    if isinstance(state, CacheState) and isinstance(model, CachedModel):
        return CacheState(null_context(model.model), state.words, state.keys)
    return state
