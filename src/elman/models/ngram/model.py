"""The n-gram language model: the next token given the last order - 1 tokens, by interpolated counts."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman import numba_jit
from elman.errors import ConfigError, ModelFileError, ShapeError, TextError, VocabularyError
from elman.models.base import BEFORE_TEXT, Ids, Mask, Past, begin, checked_ids, checked_mask
from elman.models.ngram.counts import count_ngrams
from elman.models.ngram.hashed import HashedNgrams
from elman.models.ngram.levels import Level, SortedNgrams
from elman.models.ngram.smoothing import Smoothing, witten_bell
from elman.one_line import number_of, one_line
from elman.text.hashed_words import HashedWords

_MAX_TOKENS = 2**31 - 1  # so that no key of a file exceeds 64 bits
_WORTH_HASHING = 100_000  # tokens read in sorted tables before: in about the time that it takes to load numba
_CALL = 100  # a call costs as much as so many tokens
_hashing = threading.Lock()  # held while a table is made: one for all models, so that they can be copied


class NgramModel:
    """P(w | h) = weight(h, w) + backoff(h) · P(w | h without its oldest token), down to 1/V.

    Made by ``train`` or ``from_arrays``. A context that reaches before the start of the text counts as unseen: the
    shorter contexts then give the probability. The context of a 1-gram is empty.

    With ``eos``, the token that ends a sentence, it is a model of sentences: contexts do not reach over an ``eos``,
    and begin with the symbol ``<s>``, which is never predicted; the start of a text is the start of a sentence.
    Without it, a text is one stream of tokens, including the ends of lines.

    Where numba is installed (the extra ``fast``), a model that has read some 100,000 tokens, or 1,000 texts one by one,
    enters its n-grams in a hash table, of about 45 bytes per n-gram (see `elman.models.ngram.hashed`). The
    numbers are the same without.
    """

    def __init__(self, levels: Sequence[Level], vocab_size: int, eos: int | None = None) -> None:
        self._levels = tuple(levels)
        self._vocab_size = vocab_size
        self._eos = eos
        self._sorted = SortedNgrams(self._levels, vocab_size, eos)
        self._hashed: HashedNgrams | None = None
        self._work = 0  # done in the sorted tables, in tokens
        self._begun: dict[int | None, Past] = {}

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
            number_of(sum(len(level.keys) for level in self.levels), "n-gram"),
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

    @property
    def is_hashed(self) -> bool:
        """Whether the n-grams are in the hash table, so that text is read as fast as possible."""
        return self._hashed is not None

    def use_hash_table(self) -> None:
        """Enter the n-grams in the hash table now, where numba is installed, instead of after much reading."""
        if self._hashed is None and numba_jit.is_available():
            with _hashing:
                if self._hashed is None:
                    self._hashed = HashedNgrams(self._levels, self.vocab_size, self.eos)

    def start(self, batch_size: int = 1) -> Past:
        """Return the initial state of N sequences, which have read nothing."""
        nothing = (BEFORE_TEXT,) * (self.order - 1)
        if self._eos is not None and nothing:
            nothing = (*nothing[1:], self._vocab_size)
        return Past((nothing,) * batch_size)

    def begin(self, eos: int | None) -> Past:
        """Return the state of one sequence that has read ``eos``, or nothing: `elman.models.base.begin`, stored."""
        if eos not in self._begun:
            self._begun[eos] = begin(self, eos)
        return self._begun[eos]

    def feed(self, ids: Ids, state: Past) -> Past:
        """Read ids (N, T) after ``state``; return the state that follows."""
        return self._state_after(checked_ids(ids, state.batch_size, self.vocab_size), state)

    def next_log_probs(self, state: Past) -> NDArray[np.float64]:
        """Return ln P(next = v | past) for every v: (N, V)."""
        probs = self._ngrams(state.batch_size * _CALL).distributions(state.array(self.order - 1))
        return np.log(probs[:, : self.vocab_size])

    def target_log_probs(
        self, ids: Ids, state: Past, counted: Mask | None = None
    ) -> tuple[NDArray[np.float64], Past]:
        """Return ln P(ids[n, t] | past of sequence n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False, the result is 0.
        """
        ids = checked_ids(ids, state.batch_size, self.vocab_size)
        probs = self._read(ids, state)[0]
        if counted is not None:
            probs[~checked_mask(counted, probs.shape)] = 1
        return np.log(probs, out=probs), self._state_after(ids, state)

    def text_log_probs(self, ids: Ids, lengths: Sequence[int], start: Past) -> NDArray[np.float64]:
        """Return ln P of each of ids (n,): those of N texts with these lengths, each read from ``start``.

        It is `target_log_probs` for texts of different lengths, without padding. ``start`` is a state of one sequence.
        -1 stands for a token that the vocabulary lacks: its result is -inf, and what follows it has not seen it.

        Raises:
            ShapeError: the lengths do not sum to n.
            VocabularyError: an id is neither -1 nor in [0, vocab_size).
        """
        if min(lengths, default=0) < 0 or sum(lengths) != len(ids):
            raise ShapeError(f"the lengths of texts must be ≥ 0 and sum to {len(ids)}, got {list(lengths)}")
        text = ids.astype(np.int64)
        missing = None
        if text.view(np.uint64).max(initial=0) >= self._vocab_size:  # numbers below 0 are the largest then
            missing = text == -1
            checked_ids(text[~missing][None], 1, self._vocab_size)
        probs, _ = self._ngrams(len(text)).read(
            text, np.array(lengths, np.int64), start.array(self.order - 1)
        )
        if missing is None:
            return np.log(probs, out=probs)
        probs[missing] = 1
        return np.where(missing, -np.inf, np.log(probs))

    def word_log_probs(
        self,
        text: str,
        words: HashedWords,
        newline_id: int,
        unknown_id: int,
        separators: bool,
        start: Past,
    ) -> tuple[NDArray[np.float64], int] | None:
        """Return ln P of each word that `HashedWords.find` finds in a text, (n,), and how many of them are unknown.

        It is `find` and then `text_log_probs` in one compiled call; None unless `is_hashed`, and if a word has no id.
        """
        if self._hashed is None:
            return None
        probs, unknown = self._hashed.read_words(
            text, words, newline_id, unknown_id, separators, start.stored_array
        )
        return None if unknown and unknown_id < 0 else (np.log(probs, probs), unknown)

    def matched_lengths(self, ids: Ids, state: Past) -> NDArray[np.int64]:
        """Return the length of the longest known n-gram that ends in each of ids (N, T): 1, ..., order."""
        return self._read(checked_ids(ids, state.batch_size, self.vocab_size), state)[1]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the whole model as named arrays: the input of ``from_arrays``."""
        return _to_arrays(self._levels, self.vocab_size, self.eos)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "NgramModel":
        """Return the model that ``to_arrays`` described. Raises ModelFileError if the arrays are invalid."""
        return cls(*_from_arrays(arrays))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._levels, self._vocab_size, self._eos)  # a copy makes its own hash table

    def _ngrams(self, tokens: int) -> SortedNgrams:
        """Return the n-grams in the form that is best to read this many tokens with."""
        if self._work >= _WORTH_HASHING:
            self.use_hash_table()
        self._work += tokens + _CALL
        return self._sorted if self._hashed is None else self._hashed

    def _read(self, ids: NDArray[np.int64], state: Past) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the probability of each of ids (N, T), and the length of the longest n-gram that ends in it."""
        N, T = ids.shape
        probs, matched = self._ngrams(N * T).read(ids.ravel(), np.full(N, T), state.array(self.order - 1))
        return probs.reshape(N, T), matched.reshape(N, T)

    def _state_after(self, ids: NDArray[np.int64], state: Past) -> Past:
        """Return the last order - 1 tokens of the past and ids (N, T) of each sequence, from the last ``eos`` on."""
        P = self.order - 1
        last = ids[:, max(ids.shape[1] - P, 0) :].tolist()
        rows = (before + tuple(row) for before, row in zip(state.past, last, strict=True))
        return Past(tuple(self._within_sentence(row[len(row) - P :]) for row in rows))

    def _within_sentence(self, last: tuple[int, ...]) -> tuple[int, ...]:
        """Return the last tokens with ``<s>`` in place of the last ``eos``, and nothing before it."""
        if self._eos not in last:
            return last
        end = len(last) - 1 - last[::-1].index(self._eos)
        return (BEFORE_TEXT,) * end + (self._vocab_size, *last[end + 1 :])


def _to_arrays(levels: Sequence[Level], vocab_size: int, eos: int | None) -> dict[str, NDArray[Any]]:
    """Return copies: ``vocab_size`` (1,), ``eos`` (1,); and ``n.keys``, ``n.weights``, ``n.backoffs`` of level n."""
    arrays: dict[str, NDArray[Any]] = {"vocab_size": np.array([vocab_size], np.int64)}
    if eos is not None:
        arrays["eos"] = np.array([eos], np.int64)
    for n, level in enumerate(levels, 1):
        arrays[f"{n}.keys"] = level.keys.copy()
        arrays[f"{n}.weights"] = level.weights.copy()
        arrays[f"{n}.backoffs"] = level.backoffs.copy()
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
        in_range = not len(keys) or (keys[0] >= 0 and keys[-1] < n_contexts * K)
        if not (in_range and (keys[1:] > keys[:-1]).all()):
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
