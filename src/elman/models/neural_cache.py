"""The neural cache: a word counts the more, the more its past is like the present, by the hidden state."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import to_numpy
from elman.errors import ConfigError
from elman.models.base import LanguageModel, LogProbs, Mask
from elman.models.cache import CachedModel, Floats
from elman.models.dynamic import DynamicModel
from elman.models.rnnlm import RecurrentLM


def has_hidden_states(model: LanguageModel) -> bool:
    """Tell whether a model is recurrent, dynamically evaluated or not."""
    return isinstance(model.model if isinstance(model, DynamicModel) else model, RecurrentLM)


class NeuralCache(CachedModel):
    """P(w | past) = (1 - λ)·P_model(w | past) + λ·P_cache(w), P_cache(w) ∝ Σ_i exp(θ·h_t·h_i)·[x_{i+1} = w].

    The sum is over the last ``size`` words of the same lane; h_i is the top layer's hidden state that word i + 1
    was predicted from (of a `DynamicModel`, as its weights then made it). θ = 0 is the `CachedModel`. (E. Grave,
    A. Joulin, N. Usunier, Improving neural language models with a continuous cache, ICLR 2017.)

    Raises:
        ConfigError: the model is not recurrent, θ is negative or not finite, size is below 1, or the weight λ
            outside [0, 1).
    """

    model: RecurrentLM | DynamicModel

    def __init__(self, model: LanguageModel, size: int, theta: float, weight: float) -> None:
        super().__init__(model, size, weight)
        if not has_hidden_states(model):
            raise ConfigError(
                "a neural cache needs the hidden states of a recurrent model, which "
                f"{type(model.model if isinstance(model, DynamicModel) else model).__name__} "
                "does not have; take --cache"
            )
        if not 0 <= theta < math.inf:
            raise ConfigError(f"theta of a neural cache must be 0 or more and finite, got {theta}; try 0.3")
        self.theta = theta

    def _cache_in_words(self) -> str:
        return f"the last {self.size:,} words of its lane, each weighted by exp({self.theta:g}·h_t·h_i)"

    def _feed(self, ids: NDArray[np.int64], inner: Any) -> tuple[NDArray[Any], Any]:
        return self._score(ids, inner, np.zeros(ids.shape, np.bool_))[1:]

    def _score(
        self, ids: NDArray[np.int64], inner: Any, counted: Mask | None
    ) -> tuple[LogProbs, NDArray[Any], Any]:
        found, hidden, after = self.model.target_log_probs_and_hidden(ids, inner, counted)
        return found, np.asarray(to_numpy(hidden)), after

    def _next_key(self, inner: Any) -> NDArray[Any]:
        return np.asarray(to_numpy(inner.h[-1]))[:, None]

    def _weights(self, queries: Any, keys: Any, remembered: NDArray[np.bool_]) -> Floats:
        scores = np.where(remembered, self.theta * (queries @ keys.swapaxes(1, 2)), -np.inf)
        best = scores.max(axis=2, keepdims=True, initial=-np.inf)
        weights: Floats = np.exp(scores - np.where(np.isfinite(best), best, 0), dtype=np.float64)
        return weights
