"""The n-gram language model: the next token given the last order - 1 tokens, by interpolated counts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, ModelFileError, ShapeError, TextError, VocabularyError
from elman.models.base import BEFORE_TEXT, Ids, Mask, Past, checked_ids, checked_mask
from elman.models.ngram.counts import count_ngrams
from elman.models.ngram.levels import UNSEEN, Level
from elman.models.ngram.smoothing import Smoothing, witten_bell
from elman.one_line import number_of, one_line

_MAX_TOKENS = 2**31 - 1  # so that no key of a file exceeds 64 bits


class NgramModel:
    """P(w | h) = weight(h, w) + backoff(h) · P(w | h without its oldest token), down to 1/V.

    Made by ``train`` or ``from_arrays``. A context that reaches before the start of the text counts as unseen: the
    shorter contexts then give the probability. The context of a 1-gram is empty.

    With ``eos``, the token that ends a sentence, it is a model of sentences: contexts do not reach over an ``eos``,
    and begin with the symbol ``<s>``, which is never predicted; the start of a text is the start of a sentence.
    Without it, a text is one stream of tokens, including the ends of lines.
    """

    def __init__(self, levels: Sequence[Level], vocab_size: int, eos: int | None = None) -> None:
        self._levels = tuple(levels)
        self._vocab_size = vocab_size
        self._eos = eos
        self._start = int(levels[0].find(np.array(0), np.array(vocab_size)))  # the number of the 1-gram <s>

    @classmethod
    def train(
        cls,
        ids: Ids | NDArray[Any],
        vocab_size: int,
        order: int = 3,
        smoothing: Smoothing = witten_bell,
        eos: int | None = None,
    ) -> "NgramModel":
        """Return the model of ids (T,), with contexts of up to order - 1 tokens; with ``eos``, a model of sentences.

        ids may be memory-mapped: memory grows with the number of distinct n-grams, not with T.

        Raises:
            ConfigError: the order is below 1.
            ShapeError: ids are not one-dimensional.
            TextError: there are no ids.
            VocabularyError: an id or ``eos`` is not in [0, vocab_size).
        """
        if order < 1:
            raise ConfigError(f"the order of an n-gram model must be ≥ 1, got {order}")
        ids = np.asarray(ids)
        if ids.ndim != 1:
            raise ShapeError(f"ids to train on must be (T,), got {ids.shape}")
        if len(ids) == 0:
            raise TextError("an n-gram model needs at least one token to train on, got none")
        if eos is not None and not 0 <= eos < vocab_size:
            raise VocabularyError(f"eos must be an id in [0, {vocab_size}), got {eos}")
        counts = count_ngrams(ids, vocab_size, order, eos)
        tables = zip(counts, smoothing(counts), strict=True)
        return cls([Level(c.keys, w.weights, w.backoffs, c.symbols) for c, w in tables], vocab_size, eos)

    def __repr__(self) -> str:
        return one_line(
            self,
            f"order {self.order}",
            f"vocabulary {self.vocab_size:,}",
            number_of(sum(len(level.keys) - 1 for level in self.levels), "n-gram"),
        )

    @property
    def order(self) -> int:
        """The length of the longest n-gram; contexts are one token shorter."""
        return len(self._levels)

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens."""
        return self._vocab_size

    @property
    def eos(self) -> int | None:
        """The id that ends a sentence, over which no context reaches; None in a model of a stream."""
        return self._eos

    @property
    def levels(self) -> tuple[Level, ...]:
        """The tables of n-grams, for n = 1, ..., order; do not modify them."""
        return self._levels

    def start(self, batch_size: int = 1) -> Past:
        """Return the initial state of N sequences, which have read nothing."""
        nothing = np.full((batch_size, self.order - 1), BEFORE_TEXT)
        if self.eos is not None:
            nothing[:, -1:] = self.vocab_size
        return Past.of(nothing)

    def feed(self, ids: Ids, state: Past) -> Past:
        """Read ids (N, T) after ``state``; return the state that follows."""
        return self._state_after(self._text_with_past(ids, state))

    def next_log_probs(self, state: Past) -> NDArray[np.float64]:
        """Return ln P(next = v | past) for every v: (N, V)."""
        past = self._text_with_past(np.zeros((state.batch_size, 0), np.int64), state)
        K = self._levels[0].symbols  # V, or V + 1 with <s>
        probs: NDArray[np.float64] = np.full((state.batch_size, K), 1 / self.vocab_size)  # (N, K)
        for level, contexts, _ in self._look_up(past):
            probs *= level.backoffs[contexts[:, -1:]]
            for row, context in enumerate(contexts[:, -1]):
                tokens, weights = level.followers(int(context))
                probs[row, tokens] += weights
        return np.log(probs[:, : self.vocab_size])

    def target_log_probs(
        self, ids: Ids, state: Past, counted: Mask | None = None
    ) -> tuple[NDArray[np.float64], Past]:
        """Return ln P(ids[n, t] | past of sequence n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False, the result is 0.
        """
        text = self._text_with_past(ids, state)
        P = self.order - 1
        probs: NDArray[np.float64] = np.full(
            (state.batch_size, text.shape[1] - P), 1 / self.vocab_size
        )  # (N, T)
        for level, contexts, ngrams in self._look_up(text):
            probs = level.weights[ngrams[:, P:]] + level.backoffs[contexts[:, P:-1]] * probs
        if counted is not None:
            probs[~checked_mask(counted, probs.shape)] = 1
        return np.log(probs, out=probs), self._state_after(text)

    def matched_lengths(self, ids: Ids, state: Past) -> NDArray[np.int64]:
        """Return the length of the longest known n-gram that ends in each of ids (N, T): 1, ..., order."""
        text = self._text_with_past(ids, state)
        P = self.order - 1
        lengths: NDArray[np.int64] = np.ones((len(text), text.shape[1] - P), np.int64)
        for n, (_, _, ngrams) in enumerate(self._look_up(text), 1):
            lengths[ngrams[:, P:] != UNSEEN] = n
        return lengths

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the whole model as named arrays: the input of ``from_arrays``."""
        return _to_arrays(self._levels, self.vocab_size, self.eos)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "NgramModel":
        """Return the model that ``to_arrays`` described. Raises ModelFileError if the arrays are invalid."""
        return cls(*_from_arrays(arrays))

    def _text_with_past(self, ids: Ids, state: Past) -> NDArray[np.int64]:
        """Return the order - 1 tokens of the state followed by ids: (N, order - 1 + T)."""
        ids = checked_ids(ids, state.batch_size, self.vocab_size)
        return np.concatenate([state.array(self.order - 1), ids], axis=1)

    def _state_after(self, text: NDArray[np.int64]) -> Past:
        last = text[:, text.shape[1] - (self.order - 1) :]
        if self.eos is not None:
            ends = last == self.eos
            ends_from_here = np.cumsum(ends[:, ::-1], axis=1)[:, ::-1]
            last = np.where(ends, self.vocab_size, last)
            last = np.where(ends_from_here > ends, BEFORE_TEXT, last)
        return Past.of(last)

    def _look_up(
        self, text: NDArray[np.int64]
    ) -> Iterator[tuple[Level, NDArray[np.int64], NDArray[np.int64]]]:
        """Yield each level with the contexts (N, L + 1) before every token of text (N, L) and after the last, and
        the n-grams (N, L) that end in each token. An n-gram that ends in one token is the context of the next at the
        next level; but after the end of a sentence that context is ``<s>``.
        """
        N, L = text.shape
        contexts = np.zeros((N, L + 1), np.int64)
        after_end = self._start
        for level in self._levels:
            ngrams = level.find(contexts[:, :-1], text)
            yield level, contexts, ngrams
            contexts = np.concatenate([np.full((N, 1), UNSEEN), ngrams], axis=1)
            if self.eos is not None:
                contexts[:, 1:][text == self.eos] = after_end
                after_end = UNSEEN


def _to_arrays(levels: Sequence[Level], vocab_size: int, eos: int | None) -> dict[str, NDArray[Any]]:
    """Return copies: ``vocab_size`` (1,), ``eos`` (1,); and ``n.keys``, ``n.weights``, ``n.backoffs`` of level n."""
    arrays: dict[str, NDArray[Any]] = {"vocab_size": np.array([vocab_size], np.int64)}
    if eos is not None:
        arrays["eos"] = np.array([eos], np.int64)
    for n, level in enumerate(levels, 1):
        arrays[f"{n}.keys"] = level.keys[:-1].copy()
        arrays[f"{n}.weights"] = level.weights[:-1].copy()
        arrays[f"{n}.backoffs"] = level.backoffs[:-1].copy()
    return arrays


def _from_arrays(arrays: Mapping[str, NDArray[Any]]) -> tuple[list[Level], int, int | None]:
    """Return the levels, V and eos. Raises ModelFileError, naming the array, if one is missing or invalid."""
    V = int(_array(arrays, "vocab_size", np.dtype(np.int64), 1)[0])
    if not 0 < V <= _MAX_TOKENS:
        raise ModelFileError(f"the n-gram model's vocab_size {V} is out of range; train the model again")
    eos = int(_array(arrays, "eos", np.dtype(np.int64), 1)[0]) if "eos" in arrays else None
    if eos is not None and not 0 <= eos < V:
        raise ModelFileError(
            f"the n-gram model's eos {eos} is not an id of its {V} tokens; train the model again"
        )
    K = V if eos is None else V + 1
    levels: list[Level] = []
    n_contexts = 1
    while not levels or f"{len(levels) + 1}.keys" in arrays:
        n = len(levels) + 1
        keys = _array(arrays, f"{n}.keys", np.dtype(np.int64))
        weights = _array(arrays, f"{n}.weights", np.dtype(np.float64), len(keys))
        backoffs = _array(arrays, f"{n}.backoffs", np.dtype(np.float64), n_contexts)
        if not (np.diff(keys, prepend=-1, append=n_contexts * K) > 0).all():
            raise ModelFileError(f"the n-gram model's array {n}.keys is not sorted; train the model again")
        levels.append(Level(keys, weights, backoffs, K))
        n_contexts = len(keys)
    return levels, V, eos


def _array(
    arrays: Mapping[str, NDArray[Any]], name: str, dtype: np.dtype[Any], length: int | None = None
) -> NDArray[Any]:
    if name not in arrays:
        raise ModelFileError(f"the n-gram model lacks the array {name}; train the model again")
    array = arrays[name]
    if array.dtype != dtype or array.ndim != 1 or (length is not None and len(array) != length):
        wanted = f"{dtype} ({'G' if length is None else length},)"
        got = f"{array.dtype} {array.shape}"
        raise ModelFileError(f"the n-gram model's array {name} must be {wanted}, got {got}; train it again")
    return array
