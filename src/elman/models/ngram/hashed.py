"""`HashedNgrams`: the n-grams of all lengths in hash tables, and the compiled functions that read text with them.

The functions are plain Python, which `elman.numba_jit` compiles. Without numba a model uses `SortedNgrams`, which gives
the same numbers to the last bit.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.models.ngram.levels import UNSEEN, Level, SortedNgrams
from elman.numba_jit import jit_exact
from elman.text.hashed_words import HashedWords, find_words

_MAX_LOAD = 0.7  # of a table of more than two slots; at more, looking for what is not in it slows down
_FREE = -1  # the token of a slot without an n-gram
_TOKEN, _TABLE, _WEIGHT, _BACKOFF = 0, 1, 2, 3  # the columns of a slot
_SHIFT, _MASK = 6, 63  # a table of 2**b slots, the first of which is s, is the number s * 64 + b
# 2**64 / golden ratio: D. Knuth, The Art of Computer Programming, volume 3, section 6.4
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_LINE = 64  # bytes in a line of the processor's cache


class HashedNgrams(SortedNgrams):
    """A hash table for each context, with open addressing and linear probing, of the tokens that follow it.

    All tables are in one array, in the order of their contexts, so that they are made in one pass over the sorted
    n-grams. The slot of an n-gram has its last token, its weight, its backoff weight as a context, and the place of
    its own table. A slot takes 32 bytes, half a line of the processor's cache. Slot 0 is the empty context's.
    """

    def __init__(self, levels: Sequence[Level], vocab_size: int, eos: int | None) -> None:
        super().__init__(levels, vocab_size, eos)
        symbols = levels[0].symbols
        slots = _aligned(1 + sum(count_slots(level.keys, symbols) for level in levels))  # (S, 4)
        slots[0] = _FREE
        slots.view(np.float64)[0, _WEIGHT:] = 1 / vocab_size, levels[0].backoffs[0]
        contexts = np.zeros(1, np.int64)  # (C,): the slot of each context
        first = 1
        for n, level in enumerate(levels, 1):
            backoffs = levels[n].backoffs if n < len(levels) else np.ones(len(level.keys))
            ngrams = np.empty(len(level.keys), np.int64)  # (G,)
            first = insert(slots, symbols, level.keys, level.weights, backoffs, contexts, first, ngrams)
            contexts = ngrams
        end = UNSEEN if eos is None else eos
        start = int(find(slots, slots[0, _TABLE], vocab_size))  # <s>, if that is a symbol
        self._table = (slots, len(levels), end, start)

    def read(
        self, ids: NDArray[np.int64], lengths: NDArray[np.int64], pasts: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Do the same as `SortedNgrams.read`, in one call without the interpreter's lock."""
        probs = np.empty(len(ids))  # (n,)
        matched = np.empty(len(ids), np.int64)  # (n,)
        read_texts(*self._table, ids, lengths, pasts, probs, matched)
        return probs, matched

    def read_words(
        self,
        text: str,
        words: HashedWords,
        newline_id: int,
        unknown_id: int,
        separators: bool,
        past: NDArray[np.int64],
    ) -> tuple[NDArray[np.float64], int]:
        """Return the probability of each word that `HashedWords.find` finds in a text, (n,), and how many are unknown.

        The text is read after ``past`` (1, P). It is all one call, because for a line calls take longer than the work.
        """
        data = np.frombuffer(bytearray(text, "utf-8", "surrogatepass"), np.uint8)
        probs = np.empty(len(data))
        joined, ends, slots = words.table
        n, unknown = read_words(
            data, joined, ends, slots, newline_id, unknown_id, separators, *self._table, past, probs
        )
        return probs[:n], unknown

    @staticmethod
    def _add_level(*args: NDArray[Any]) -> None:
        add_level(*args)


def _aligned(size: int) -> NDArray[np.int64]:
    """Return an array (S, 4) that begins where a line of the cache does, so that no slot is in two of them."""
    memory = np.empty(4 * size + _LINE // 8, np.int64)
    return memory[-memory.ctypes.data % _LINE // 8 :][: 4 * size].reshape(size, 4)


@jit_exact
def bits_for(n_tokens: int) -> int:
    """Return b, for a table of 2**b slots. One or two tokens fill theirs."""
    bits = 0
    while (1 << bits) < n_tokens or (n_tokens > 2 and (1 << bits) * _MAX_LOAD < n_tokens):
        bits += 1
    return bits


@jit_exact
def end_of_context(keys: NDArray[np.int64], begin: int, symbols: int) -> int:
    """Return where the keys end that have the same context as keys[begin]."""
    end, limit = begin, (keys[begin] // symbols + 1) * symbols
    while end < len(keys) and keys[end] < limit:
        end += 1
    return end


@jit_exact
def count_slots(keys: NDArray[np.int64], symbols: int) -> int:
    """Return how many slots the tables of a level's contexts take in all."""
    total = begin = 0
    while begin < len(keys):
        end = end_of_context(keys, begin, symbols)
        total += 1 << bits_for(end - begin)
        begin = end
    return total


@jit_exact
def insert(
    slots: NDArray[np.int64],
    symbols: int,
    keys: NDArray[np.int64],
    weights: NDArray[np.float64],
    backoffs: NDArray[np.float64],
    contexts: NDArray[np.int64],
    first: int,
    ngrams: NDArray[np.int64],
) -> int:
    """Make the tables of a level's contexts, from slot ``first`` on; return the slot after the last one.

    ``contexts`` (C,) has the slots of the contexts, ``backoffs`` (G,) the backoff weights of the n-grams as contexts.
    The slot of each n-gram is written to ``ngrams`` (G,).
    """
    values = slots.view(np.float64)
    begin = 0
    while begin < len(keys):
        context = keys[begin] // symbols
        end = end_of_context(keys, begin, symbols)
        bits = bits_for(end - begin)
        last = (1 << bits) - 1
        slots[contexts[context], _TABLE] = (first << _SHIFT) + bits
        for slot in range(first, first + last + 1):
            slots[slot, _TOKEN] = _FREE
        for number in range(begin, end):
            token = keys[number] - context * symbols
            place = home(token, last)
            while slots[first + place, _TOKEN] != _FREE:
                place = (place + 1) & last
            slot = first + place
            slots[slot, _TOKEN], slots[slot, _TABLE] = token, UNSEEN
            values[slot, _WEIGHT], values[slot, _BACKOFF] = weights[number], backoffs[number]
            ngrams[number] = slot
        first += last + 1
        begin = end
    return first


@jit_exact
def find(slots: NDArray[np.int64], table: Any, token: Any) -> Any:
    """Return the slot of a token in a table; UNSEEN if it is not there, or if there is no table."""
    if table == UNSEEN:
        return UNSEEN
    first, last = table >> _SHIFT, (1 << (table & _MASK)) - 1
    place = home(token, last)
    for _ in range(last + 1):
        found = slots[first + place, _TOKEN]
        if found == token:
            return first + place
        if found == _FREE:
            return UNSEEN
        place = (place + 1) & last
    return UNSEEN


@jit_exact
def home(token: int, last: int) -> Any:
    """Return the place, from 0 to ``last``, where a token is put in a table unless that place is taken."""
    return np.int64((np.uint64(token) * _SPREAD) >> np.uint64(32)) & last


@jit_exact
def read_texts(
    slots: NDArray[np.int64],
    order: int,
    eos: int,
    start: int,
    ids: NDArray[np.int64],
    lengths: NDArray[np.int64],
    pasts: NDArray[np.int64],
    probs: NDArray[np.float64],
    matched: NDArray[np.int64],
) -> None:
    """Write the probability of each of ids (n,) and the length of the longest n-gram that ends in it.

    ``start`` is the slot of ``<s>``, UNSEEN if there is none.
    """
    values = slots.view(np.float64)
    tables = np.empty(order, np.int64)  # of the k-grams before a token, k = 0, ..., order - 1
    backoffs = np.empty(order)
    tables[0], backoffs[0] = slots[0, _TABLE], values[0, _BACKOFF]
    first = 0
    for text in range(len(lengths)):
        past = pasts[min(text, len(pasts) - 1)]
        for k in range(1, order):
            tables[k], backoffs[k] = UNSEEN, 1.0
        begin = 0
        while begin < len(past) and past[begin] < 0:  # the text had not begun, so no context is seen
            begin += 1
        for i in range(begin - len(past), lengths[text]):
            token = past[i] if i < 0 else ids[first + i]
            prob, longest = values[0, _WEIGHT], 1
            table, backoff = tables[0], backoffs[0]
            for k in range(order):
                next_table, weight, next_backoff = UNSEEN, 0.0, 1.0
                slot = find(slots, table, token) if token >= 0 else UNSEEN
                if slot != UNSEEN:
                    next_table, next_backoff = slots[slot, _TABLE], values[slot, _BACKOFF]
                    weight, longest = values[slot, _WEIGHT], k + 1
                prob = weight + backoff * prob
                if k + 1 < order:  # the n-gram is the context of the next token
                    table, tables[k + 1] = tables[k + 1], next_table
                    backoff, backoffs[k + 1] = backoffs[k + 1], next_backoff
            if token == eos and eos != UNSEEN and order > 1:
                for k in range(1, order):
                    tables[k], backoffs[k] = UNSEEN, 1.0
                if start != UNSEEN:
                    tables[1], backoffs[1] = slots[start, _TABLE], values[start, _BACKOFF]
            if i >= 0:
                probs[first + i], matched[first + i] = prob, longest
        first += lengths[text]


@jit_exact
def read_words(
    data: NDArray[np.uint8],
    words: NDArray[np.uint8],
    ends: NDArray[np.int64],
    word_slots: NDArray[np.int64],
    newline_id: int,
    unknown_id: int,
    separators: bool,
    slots: NDArray[np.int64],
    order: int,
    eos: int,
    start: int,
    past: NDArray[np.int64],
    probs: NDArray[np.float64],
) -> tuple[int, int]:
    """Find the words of a text as `find_words`, read them as `read_texts`; return how many, and how many unknown."""
    found = np.empty(len(data), np.int32)
    n = find_words(data, words, ends, word_slots, newline_id, unknown_id, separators, found)
    ids, lengths = np.empty(n, np.int64), np.empty(1, np.int64)
    lengths[0], unknown = n, 0
    for i in range(n):
        ids[i] = found[i]
        unknown += ids[i] == unknown_id
    read_texts(slots, order, eos, start, ids, lengths, past, probs, ids)  # the lengths are not needed
    return n, unknown


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
