"""Cache models: words that occurred recently become more probable.

`CachedModel` counts the last words. `NeuralCache` weights each of them by the similarity between the hidden state that
it followed and the present one.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import to_numpy
from elman.errors import ConfigError
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.base import Ids, LanguageModel, LogProbs, Mask, checked_ids
from elman.models.recurrent import RecurrentLM
from elman.one_line import number_of, one_line, settings

NO_WORD = -1  # fills the words of a sequence that has read fewer than another


class CacheState:
    """The state of a `CachedModel`: ``inner``, that of the wrapped model, the last words (N, L), their keys (N, L, K).

    The newest word is the last one; shorter sequences have `NO_WORD` on the left. K is 0 in a cache without keys.
    Immutable; states are equal if their numbers are.
    """

    __slots__ = ("inner", "keys", "words")

    def __init__(self, inner: Any, words: NDArray[np.int64], keys: NDArray[np.floating[Any]]) -> None:
        used = int(
            (words != NO_WORD).sum(axis=1).max(initial=0)
        )  # so that states of equal pasts have equal shapes
        start = words.shape[1] - used
        self.inner, self.words, self.keys = inner, words[:, start:].copy(), keys[:, start:] + 0
        for array in (self.words, self.keys):
            array.flags.writeable = False

    def __repr__(self) -> str:
        return one_line(self, number_of(self.batch_size, "sequence"))

    @property
    def batch_size(self) -> int:
        """The number N of sequences."""
        return len(self.words)

    def select(self, rows: Sequence[int] | Ids) -> "CacheState":
        """Return the state of these sequences, in this order; a sequence may be repeated or left out."""
        index = np.asarray(rows, np.intp)
        return CacheState(self.inner.select(rows), self.words[index], self.keys[index])

    def join(self, *others: "CacheState") -> "CacheState":
        """Return one state with this state's sequences followed by those of the others."""
        states = (self, *others)
        longest = max(state.words.shape[1] for state in states)
        missing = [(longest - state.words.shape[1], 0) for state in states]
        words = [
            np.pad(s.words, ((0, 0), left), constant_values=NO_WORD)
            for s, left in zip(states, missing, strict=True)
        ]
        keys = [np.pad(s.keys, ((0, 0), left, (0, 0))) for s, left in zip(states, missing, strict=True)]
        inner = self.inner.join(*(other.inner for other in others))
        return CacheState(inner, np.concatenate(words), np.concatenate(keys))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CacheState):
            return NotImplemented
        same = np.array_equal(self.words, other.words) and np.array_equal(self.keys, other.keys)
        return bool(same and self.inner == other.inner)

    def __hash__(self) -> int:
        # the + 0 above turned -0.0 into the equal 0.0
        return hash((self.inner, self.words.tobytes(), self.keys.tobytes()))


_CHUNK = 128  # positions predicted at once
_MAX_WEIGHTS = 1 << 21  # computed at once: 16 MB

Floats = NDArray[np.float64]


class CachedModel:
    """P(w | past) = (1 - λ)·P_model(w | past) + λ·P_cache(w): the continuous cache.

    P_cache(w) is the relative frequency of w among the last ``size`` words of the same sequence; λ is 0 while there
    are none. The wrapped model is never changed. (R. Kuhn and R. De Mori, A cache-based natural language model for
    speech recognition, 1990.)

    Raises:
        ConfigError: size is below 1, or the weight λ is not in [0, 1).
    """

    def __init__(self, model: LanguageModel, size: int, weight: float) -> None:
        if size < 1:
            raise ConfigError(f"the size of a cache must be ≥ 1 word, got {size}")
        if not 0 <= weight < 1:
            raise ConfigError(f"the weight of a cache must be in [0, 1), got {weight}; try 0.1")
        self.model, self.size, self.weight = model, size, weight

    def __repr__(self) -> str:
        return one_line(self, repr(self.model), settings(self))

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens."""
        return self.model.vocab_size

    @property
    def definition(self) -> str:
        """The definition of the probabilities, for display."""
        return f"P = {1 - self.weight:g}·model + {self.weight:g}·cache: {self._cache_in_words()}"

    def start(self, batch_size: int = 1) -> CacheState:
        """Return the initial state of N sequences, which have read nothing."""
        inner = self.model.start(batch_size)
        nothing = np.zeros((batch_size, 0), np.int64)
        return CacheState(inner, nothing, self._feed(nothing, inner)[0])

    def feed(self, ids: Ids, state: CacheState) -> CacheState:
        """Read ids (N, T) after ``state``; return the state that follows."""
        ids = checked_ids(ids, state.batch_size, self.vocab_size)
        read, inner = self._feed(ids, state.inner)
        return self._state(inner, *self._with_past(ids, read, state))

    def next_log_probs(self, state: CacheState) -> LogProbs:
        """Return ln P(next = v | past) for every v: (N, V)."""
        remembered = state.words[:, None] != NO_WORD  # (N, 1, L)
        weights = self._normalised_weights(self._next_key(state.inner), state.keys, remembered)[:, 0]
        cached = np.zeros((state.batch_size, self.vocab_size))
        sequences, places = np.nonzero(remembered[:, 0])
        np.add.at(cached, (sequences, state.words[sequences, places]), weights[sequences, places])
        return self._mix(self.model.next_log_probs(state.inner), cached, remembered.any(axis=2))

    def target_log_probs(
        self, ids: Ids, state: CacheState, counted: Mask | None = None
    ) -> tuple[LogProbs, CacheState]:
        """Return ln P(ids[n, t] | past of sequence n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False, the result is 0.
        """
        ids = checked_ids(ids, state.batch_size, self.vocab_size)
        found, read, inner = self._score(ids, state.inner, counted)
        words, keys = self._with_past(ids, read, state)
        mixed = self._mix(found, *self._cached(words, keys, ids.shape[1]))
        if counted is not None:
            mixed[~np.asarray(counted)] = 0
        return mixed, self._state(inner, words, keys)

    def _cached(self, words: NDArray[np.int64], keys: Any, T: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Return P_cache of each of the last T words, and whether the cache was non-empty there: (N, T)."""
        N, length = words.shape
        cached, known = np.zeros((N, T)), np.zeros((N, T), np.bool_)
        most = _MAX_WEIGHTS // max(1, N * (min(self.size, length) + _CHUNK))
        step = max(1, min(_CHUNK, most))
        for begin in range(length - T, length, step):
            end = min(begin + step, length)
            first = max(0, begin - self.size)
            place, column = np.arange(begin, end)[:, None], np.arange(first, end - 1)
            within = (column < place) & (column >= place - self.size)  # (Q, M)
            remembered = within & (words[:, None, first : end - 1] != NO_WORD)  # (N, Q, M)
            weights = self._normalised_weights(keys[:, begin:end], keys[:, first : end - 1], remembered)
            same = words[:, begin:end, None] == words[:, None, first : end - 1]
            chunk = slice(begin - (length - T), end - (length - T))
            cached[:, chunk] = (weights * same).sum(axis=2)
            known[:, chunk] = remembered.any(axis=2)
        return cached, known

    def _normalised_weights(self, queries: Any, keys: Any, remembered: NDArray[np.bool_]) -> Floats:
        """Return the weight of each position in P_cache, (N, Q, M), from queries (N, Q, K) and keys (N, M, K).

        A row sums to 1, or to 0 if nothing is ``remembered`` (N, Q, M).
        """
        weights = self._weights(queries, keys, remembered)
        totals = weights.sum(axis=2, keepdims=True)
        return weights / np.where(totals, totals, 1)

    def _mix(self, log_probs: LogProbs, cached: Floats, known: NDArray[np.bool_]) -> Floats:
        """Return ln((1 - λ)·P_model + λ·P_cache), with λ = 0 where ``known`` is False."""
        weight = np.where(known, self.weight, 0.0)
        with np.errstate(divide="ignore"):
            mixed: Floats = np.logaddexp(np.log1p(-weight) + log_probs, np.log(weight * cached))
        return mixed

    def _with_past(
        self, ids: NDArray[np.int64], keys: NDArray[Any], state: CacheState
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return the remembered words followed by ids, (N, L + T), and their keys (N, L + T, K)."""
        return np.concatenate([state.words, ids], axis=1), np.concatenate([state.keys, keys], axis=1)

    def _state(self, inner: Any, words: NDArray[np.int64], keys: NDArray[Any]) -> CacheState:
        return CacheState(inner, words[:, -self.size :], keys[:, -self.size :])

    def _cache_in_words(self) -> str:
        return f"the word's relative frequency among the last {self.size:,} of its sequence"

    def _feed(self, ids: NDArray[np.int64], inner: Any) -> tuple[NDArray[Any], Any]:
        """Read ids (N, T); return their keys (N, T, K), and the model's state after them."""
        return np.zeros((*ids.shape, 0)), self.model.feed(ids, inner)

    def _score(
        self, ids: NDArray[np.int64], inner: Any, counted: Mask | None
    ) -> tuple[LogProbs, NDArray[Any], Any]:
        """Return the model's ln P of each of ids (N, T), then the results of `_feed`."""
        found, after = self.model.target_log_probs(ids, inner, counted)
        return found, np.zeros((*ids.shape, 0)), after

    def _next_key(self, inner: Any) -> NDArray[Any]:
        """Return the key of the next word: (N, 1, K)."""
        return np.zeros((inner.batch_size, 1, 0))

    def _weights(self, queries: Any, keys: Any, remembered: NDArray[np.bool_]) -> Floats:
        """Return the weight of each position before normalisation, (N, Q, M), 0 where not remembered."""
        return remembered.astype(np.float64)


def has_hidden_states(model: LanguageModel) -> bool:
    """Return whether a model is recurrent, with or without dynamic evaluation."""
    return isinstance(model.model if isinstance(model, DynamicModel) else model, RecurrentLM)


class NeuralCache(CachedModel):
    """P(w | past) = (1 - λ)·P_model(w | past) + λ·P_cache(w), P_cache(w) ∝ Σ_i exp(θ·h_t·h_i)·[x_{i+1} = w].

    The sum is over the last ``size`` words of the same sequence; h_i is the top layer's hidden state from which word
    i + 1 was predicted (in a `DynamicModel`, with the weights at that time). θ = 0 is the `CachedModel`. (E. Grave,
    A. Joulin, N. Usunier, Improving neural language models with a continuous cache, ICLR 2017.)

    Raises:
        ConfigError: the model is not recurrent, θ is negative or not finite, size is below 1, or the weight λ is not
            in [0, 1).
    """

    model: RecurrentLM | DynamicModel

    def __init__(self, model: LanguageModel, size: int, theta: float, weight: float) -> None:
        super().__init__(model, size, weight)
        if not has_hidden_states(model):
            raise ConfigError(
                "a neural cache needs the hidden states of a recurrent model, which "
                f"{type(model.model if isinstance(model, DynamicModel) else model).__name__} "
                "does not have; use `cache=SIZE`"
            )
        if not 0 <= theta < math.inf:
            raise ConfigError(f"theta of a neural cache must be ≥ 0 and finite, got {theta}; try 0.3")
        self.theta = theta

    def _cache_in_words(self) -> str:
        return f"the last {self.size:,} words of its sequence, each weighted by exp({self.theta:g}·h_t·h_i)"

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
        # the BLAS may set this flag by unused parts of its buffers, where several threads share them
        with np.errstate(invalid="ignore"):
            products = queries @ keys.swapaxes(1, 2)
        scores = np.where(remembered, self.theta * products, -np.inf)
        best = scores.max(axis=2, keepdims=True, initial=-np.inf)
        weights: Floats = np.exp(scores - np.where(np.isfinite(best), best, 0), dtype=np.float64)
        return weights
