"""Cache models: recent words become more probable, by count or by similarity of the hidden state.

The state of a model with a cache, as a value: the state of the model itself, and the last words read.

A model that adapts to the text it reads: words that occurred lately become more probable.

The neural cache: a word counts the more, the more its past is like the present, by the hidden state.
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

NO_WORD = -1


class CacheState:
    """``inner``, the wrapped model's state, with the words (N, L) read last and the key (N, L, K) of each.

    The newest word is the last. A sequence that has read fewer than another has `NO_WORD` on the left. K is 0
    where a cache does not weigh its words. Immutable; equal states have equal numbers.
    """

    __slots__ = ("inner", "keys", "words")

    def __init__(self, inner: Any, words: NDArray[np.int64], keys: NDArray[np.floating[Any]]) -> None:
        used = int((words != NO_WORD).sum(axis=1).max(initial=0))  # so that equal pasts have equal shapes
        start = words.shape[1] - used
        self.inner, self.words, self.keys = inner, words[:, start:].copy(), keys[:, start:] + 0
        for array in (self.words, self.keys):
            array.flags.writeable = False

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
        # + 0, above, turned -0.0 into 0.0, which it equals
        return hash((self.inner, self.words.tobytes(), self.keys.tobytes()))


_CHUNK = 128  # positions predicted at once
_CHUNK_SHARES = 1 << 21  # shares held at once: 16 MB

Floats = NDArray[np.float64]


class CachedModel:
    """P(w | past) = (1 - λ)·P_model(w | past) + λ·P_cache(w): the continuous cache.

    P_cache is the share of w among the last ``size`` words of the same sequence; while a sequence has read none, λ is 0
    there. The wrapped model is never changed. (R. Kuhn and R. De Mori, A cache-based natural language model for
    speech recognition, 1990.)

    Raises:
        ConfigError: size is below 1, or the weight λ outside [0, 1).
    """

    def __init__(self, model: LanguageModel, size: int, weight: float) -> None:
        if size < 1:
            raise ConfigError(f"the size of a cache must be 1 word or more, got {size}")
        if not 0 <= weight < 1:
            raise ConfigError(f"the weight of a cache must lie in [0, 1), got {weight}; try 0.1")
        self.model, self.size, self.weight = model, size, weight

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens that share the probability."""
        return self.model.vocab_size

    @property
    def definition(self) -> str:
        """What the cache does to the model's probabilities, in words."""
        return f"P = {1 - self.weight:g}·model + {self.weight:g}·cache: {self._cache_in_words()}"

    def start(self, batch_size: int = 1) -> CacheState:
        """Return the state of having read nothing, for N sequences."""
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
        shares = self._shares(self._next_key(state.inner), state.keys, remembered)[:, 0]
        cached = np.zeros((state.batch_size, self.vocab_size))
        sequences, places = np.nonzero(remembered[:, 0])
        np.add.at(cached, (sequences, state.words[sequences, places]), shares[sequences, places])
        return self._mix(self.model.next_log_probs(state.inner), cached, remembered.any(axis=2))

    def target_log_probs(
        self, ids: Ids, state: CacheState, counted: Mask | None = None
    ) -> tuple[LogProbs, CacheState]:
        """Return ln P(ids[n, t] | past of sequence n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False it is 0.
        """
        ids = checked_ids(ids, state.batch_size, self.vocab_size)
        found, read, inner = self._score(ids, state.inner, counted)
        words, keys = self._with_past(ids, read, state)
        mixed = self._mix(found, *self._cached(words, keys, ids.shape[1]))
        if counted is not None:
            mixed[~np.asarray(counted)] = 0
        return mixed, self._state(inner, words, keys)

    def _cached(self, words: NDArray[np.int64], keys: Any, T: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Return P_cache of each of the last T words, and whether anything was remembered before it: (N, T)."""
        N, length = words.shape
        cached, known = np.zeros((N, T)), np.zeros((N, T), np.bool_)
        most = _CHUNK_SHARES // max(1, N * (min(self.size, length) + _CHUNK))
        step = max(1, min(_CHUNK, most))
        for begin in range(length - T, length, step):
            end = min(begin + step, length)
            first = max(0, begin - self.size)
            place, column = np.arange(begin, end)[:, None], np.arange(first, end - 1)
            within = (column < place) & (column >= place - self.size)  # (Q, M)
            remembered = within & (words[:, None, first : end - 1] != NO_WORD)  # (N, Q, M)
            shares = self._shares(keys[:, begin:end], keys[:, first : end - 1], remembered)
            same = words[:, begin:end, None] == words[:, None, first : end - 1]
            chunk = slice(begin - (length - T), end - (length - T))
            cached[:, chunk] = (shares * same).sum(axis=2)
            known[:, chunk] = remembered.any(axis=2)
        return cached, known

    def _shares(self, queries: Any, keys: Any, remembered: NDArray[np.bool_]) -> Floats:
        """Return each position's share of P_cache, (N, Q, M), from queries (N, Q, K), keys (N, M, K).

        A row sums to 1; where nothing is ``remembered`` (N, Q, M), to 0.
        """
        weights = self._weights(queries, keys, remembered)
        totals = weights.sum(axis=2, keepdims=True)
        return weights / np.where(totals, totals, 1)

    def _mix(self, log_probs: LogProbs, cached: Floats, known: NDArray[np.bool_]) -> Floats:
        """Return ln((1 - λ)·P_model + λ·P_cache), λ being 0 where nothing is known."""
        weight = np.where(known, self.weight, 0.0)
        with np.errstate(divide="ignore"):
            mixed: Floats = np.logaddexp(np.log1p(-weight) + log_probs, np.log(weight * cached))
        return mixed

    def _with_past(
        self, ids: NDArray[np.int64], keys: NDArray[Any], state: CacheState
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return the words remembered and then ids, (N, L + T), and the key of each: (N, L + T, K)."""
        return np.concatenate([state.words, ids], axis=1), np.concatenate([state.keys, keys], axis=1)

    def _state(self, inner: Any, words: NDArray[np.int64], keys: NDArray[Any]) -> CacheState:
        return CacheState(inner, words[:, -self.size :], keys[:, -self.size :])

    def _cache_in_words(self) -> str:
        return f"the word's share of the last {self.size:,} of its sequence"

    def _feed(self, ids: NDArray[np.int64], inner: Any) -> tuple[NDArray[Any], Any]:
        """Read ids (N, T); return what each is remembered by, (N, T, K), and the model's state after them."""
        return np.zeros((*ids.shape, 0)), self.model.feed(ids, inner)

    def _score(
        self, ids: NDArray[np.int64], inner: Any, counted: Mask | None
    ) -> tuple[LogProbs, NDArray[Any], Any]:
        """Do what `_feed` does; return first the model's ln P of each of ids (N, T)."""
        found, after = self.model.target_log_probs(ids, inner, counted)
        return found, np.zeros((*ids.shape, 0)), after

    def _next_key(self, inner: Any) -> NDArray[Any]:
        """Return what the next word will be remembered by: (N, 1, K)."""
        return np.zeros((inner.batch_size, 1, 0))

    def _weights(self, queries: Any, keys: Any, remembered: NDArray[np.bool_]) -> Floats:
        """Return each position's weight, (N, Q, M), 0 where it is not remembered."""
        return remembered.astype(np.float64)


def has_hidden_states(model: LanguageModel) -> bool:
    """Tell whether a model is recurrent, dynamically evaluated or not."""
    return isinstance(model.model if isinstance(model, DynamicModel) else model, RecurrentLM)


class NeuralCache(CachedModel):
    """P(w | past) = (1 - λ)·P_model(w | past) + λ·P_cache(w), P_cache(w) ∝ Σ_i exp(θ·h_t·h_i)·[x_{i+1} = w].

    The sum is over the last ``size`` words of the same sequence; h_i is the top layer's hidden state that word i + 1
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
        scores = np.where(remembered, self.theta * (queries @ keys.swapaxes(1, 2)), -np.inf)
        best = scores.max(axis=2, keepdims=True, initial=-np.inf)
        weights: Floats = np.exp(scores - np.where(np.isfinite(best), best, 0), dtype=np.float64)
        return weights
