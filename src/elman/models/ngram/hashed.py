"""`HashedNgrams`: the n-grams of all lengths in one hash table, and the compiled functions that read text with it.

The functions are plain Python, which `elman.numba_jit` compiles. Without numba a model uses `SortedNgrams`, which gives
the same numbers to the last bit.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.models.ngram.levels import UNSEEN, Level, SortedNgrams
from elman.numba_jit import jit_exact

_MAX_LOAD = 0.7  # of the slots; at more, look-ups of n-grams that are not in the table slow down
_FREE = -1  # the key of a slot without an n-gram
_KEY, _WEIGHT, _BACKOFF = 0, 1, 2  # the columns of an entry
# 2**64 / golden ratio: D. Knuth, The Art of Computer Programming, volume 3, section 6.4
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


class HashedNgrams(SortedNgrams):
    """A hash table of n-grams with open addressing and linear probing.

    An n-gram is numbered by its slot, and its key is the slot of its context times K plus its last token: different
    n-grams have different keys, whatever their lengths, so that no look-up can take one for another. A slot takes 24
    bytes, and there are 2**b of them, of which 35 to 70 % are in use: the table takes 34 to 69 bytes per n-gram, in
    addition to the model's own 24.
    """

    def __init__(self, levels: Sequence[Level], vocab_size: int, eos: int | None) -> None:
        super().__init__(levels, vocab_size, eos)
        size = 2
        while size * _MAX_LOAD < sum(len(level.keys) - 1 for level in levels):
            size *= 2
        keys = np.full((size, 3), _FREE)  # (S, 3), the columns of an entry: one cache line holds it
        values = keys.view(np.float64)  # (S, 3), the same memory
        contexts = np.array([size])  # (C,): the slot of each context; the empty context has the number S
        for n, level in enumerate(levels, 1):
            n_ngrams = len(level.keys) - 1
            backoffs = levels[n].backoffs if n < len(levels) else np.ones(n_ngrams)
            slots = np.empty(n_ngrams, np.int64)  # (G,)
            insert(keys, values, level.symbols, level.keys, contexts, level.weights, backoffs, slots)
            contexts = slots
        end = UNSEEN if eos is None else eos
        empty_backoff, uniform = float(levels[0].backoffs[0]), 1 / vocab_size
        self._table = (keys, values, levels[0].symbols, len(levels), end, empty_backoff, uniform)

    def read(
        self, ids: NDArray[np.int64], lengths: NDArray[np.int64], pasts: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Do the same as `SortedNgrams.read`, in one call without the interpreter's lock."""
        probs = np.empty(len(ids))  # (n,)
        matched = np.empty(len(ids), np.int64)  # (n,)
        read_texts(*self._table, ids, lengths, pasts, probs, matched)
        return probs, matched

    @staticmethod
    def _add_level(*args: NDArray[Any]) -> None:
        add_level(*args)


@jit_exact
def slot_of(keys: NDArray[np.int64], key: Any) -> Any:
    """Return the slot of a key or, if it is not in the table, the free slot that it would take."""
    last = len(keys) - 1
    mixed = np.uint64(key) * _SPREAD
    slot = np.int64(mixed >> np.uint64(32)) & last
    while keys[slot, _KEY] != key and keys[slot, _KEY] != _FREE:
        slot = (slot + 1) & last
    return slot


@jit_exact
def insert(
    keys: NDArray[np.int64],
    values: NDArray[np.float64],
    symbols: int,
    level_keys: NDArray[np.int64],
    contexts: NDArray[np.int64],
    weights: NDArray[np.float64],
    backoffs: NDArray[np.float64],
    slots: NDArray[np.int64],
) -> None:
    """Enter the n-grams of a level; write the slot of each to ``slots`` (G,).

    ``contexts`` (C,) has the slots of their contexts, and ``backoffs`` those of the n-grams as contexts.
    """
    for number in range(len(slots)):
        context = level_keys[number] // symbols
        key = contexts[context] * symbols + level_keys[number] - context * symbols
        slot = slot_of(keys, key)
        keys[slot, _KEY] = key
        values[slot, _WEIGHT] = weights[number]
        values[slot, _BACKOFF] = backoffs[number]
        slots[number] = slot


@jit_exact
def read_texts(
    keys: NDArray[np.int64],
    values: NDArray[np.float64],
    symbols: int,
    order: int,
    eos: int,
    empty_backoff: float,
    uniform: float,
    ids: NDArray[np.int64],
    lengths: NDArray[np.int64],
    pasts: NDArray[np.int64],
    probs: NDArray[np.float64],
    matched: NDArray[np.int64],
) -> None:
    """Write the probability of each of ids (n,) and the length of the longest n-gram that ends in it."""
    root = len(keys)  # the number of the empty context
    start, start_backoff = slot_of(keys, root * symbols + symbols - 1), 1.0  # the 1-gram <s>
    if keys[start, _KEY] == _FREE:
        start = UNSEEN
    else:
        start_backoff = values[start, _BACKOFF]
    contexts = np.empty(order, np.int64)  # the slots of the k-grams before a token, k = 0, ..., order - 1
    backoffs = np.empty(order)
    first = 0
    for text in range(len(lengths)):
        past = pasts[min(text, len(pasts) - 1)]
        contexts[0], backoffs[0] = root, empty_backoff
        for k in range(1, order):
            contexts[k], backoffs[k] = UNSEEN, 1.0
        for i in range(-len(past), lengths[text]):
            token = past[i] if i < 0 else ids[first + i]
            prob, longest = uniform, 1
            context, backoff = root, empty_backoff
            for k in range(order):
                ngram, weight, ngram_backoff = UNSEEN, 0.0, 1.0
                if context != UNSEEN and token >= 0:
                    slot = slot_of(keys, context * symbols + token)
                    if keys[slot, _KEY] != _FREE:
                        ngram, weight, ngram_backoff = slot, values[slot, _WEIGHT], values[slot, _BACKOFF]
                        longest = k + 1
                prob = weight + backoff * prob
                if k + 1 < order:  # the n-gram is the context of the next token
                    context, contexts[k + 1] = contexts[k + 1], ngram
                    backoff, backoffs[k + 1] = backoffs[k + 1], ngram_backoff
            if token == eos and eos != UNSEEN and order > 1:
                contexts[1], backoffs[1] = start, start_backoff
                for k in range(2, order):
                    contexts[k], backoffs[k] = UNSEEN, 1.0
            if i >= 0:
                probs[first + i], matched[first + i] = prob, longest
        first += lengths[text]


@jit_exact
def add_level(
    probs: NDArray[np.float64],
    backoffs: NDArray[np.float64],
    keys: NDArray[np.int64],
    weights: NDArray[np.float64],
    first_keys: NDArray[np.int64],
    firsts: NDArray[np.intp],
    ends: NDArray[np.intp],
) -> None:
    """Multiply probabilities (N, K) by the backoffs (N,), and add the weights of the n-grams firsts[n]:ends[n]."""
    for row in range(len(probs)):
        if backoffs[row] != 1.0:
            for symbol in range(probs.shape[1]):
                probs[row, symbol] *= backoffs[row]
        for ngram in range(firsts[row], ends[row]):
            probs[row, keys[ngram] - first_keys[row]] += weights[ngram]
