"""How often each n-gram occurs in a text, for n = 1 up to an order."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.models.base import checked_ids

BLOCK = 1 << 20  # tokens counted at a time, at least
NO_START = -1  # the id of <s> where there is none
_NONE = -1  # in place of an n-gram's number: the text, or a sentence, begins within it


@dataclass(frozen=True)
class Counts:
    """The distinct n-grams of one length, numbered by ascending key.

    An n-gram's key is the number of its context, which is an (n-1)-gram, times K, plus its last token. So keys
    stay small however long the n-gram, and the n-grams of one context are adjacent. The only context of a 1-gram is
    the empty one, number 0. K is V; or V + 1 where sentences are counted separately: then ``<s>``, which precedes
    each, is a symbol too, with the id V. It occurs only as the first symbol of an n-gram, and the 1-gram ``<s>``
    has the count 0, because it is never predicted.
    """

    keys: NDArray[np.int64]  # (G,), ascending
    counts: NDArray[np.int64]  # (G,)
    n_contexts: int  # C, the number of (n-1)-grams, whether something follows them or not
    symbols: int  # K
    start: int = NO_START  # the id of <s>

    @property
    def contexts(self) -> NDArray[np.int64]:
        """The number of each n-gram's context, (G,)."""
        return self.keys // self.symbols

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Each n-gram's last token, (G,)."""
        return self.keys % self.symbols


def count_ngrams(
    ids: NDArray[np.integer[Any]], vocab_size: int, order: int, eos: int | None = None, block: int = BLOCK
) -> list[Counts]:
    """Count the n-grams of ids (T,), for n = 1, ..., order; with ``eos``, within each sentence.

    ids may be memory-mapped: they are read block by block, and memory grows with the number of distinct n-grams, not
    with T. Raises VocabularyError for an id that is not an integer in [0, vocab_size).
    """
    start, symbols = (NO_START, vocab_size) if eos is None else (vocab_size, vocab_size + 1)
    levels: list[Counts] = []
    past = np.zeros(0, np.int64)  # the last order - 1 symbols before the block
    first = 0
    while first < len(ids):
        # blocks grow with the table, so that merging costs no more than counting
        end = first + max(block, len(levels[-1].keys) if levels else 0)
        part = checked_ids(ids[None, first:end], 1, vocab_size)[0]
        if eos is not None:
            part = _with_starts(part, eos, start, before=int(ids[first - 1]) if first else eos)
        text = np.concatenate([past, part])
        found = _count_block(text, len(past), symbols, order, start)
        levels = _merged(levels, found) if levels else found
        past = text[max(0, len(text) - (order - 1)) :]
        first = end
    return levels


def _with_starts(ids: NDArray[np.int64], eos: int, start: int, before: int) -> NDArray[np.int64]:
    """Return ids with ``<s>`` inserted before every sentence; ``before`` is the token that precedes ids."""
    previous = np.concatenate([[before], ids[:-1]])
    return np.insert(ids, np.flatnonzero(previous == eos), start)


def _count_block(text: NDArray[np.int64], n_past: int, symbols: int, order: int, start: int) -> list[Counts]:
    """Count the n-grams that end in text[n_past:]; those that end earlier are listed with a count of 0."""
    levels: list[Counts] = []
    counted = np.arange(len(text)) >= n_past
    starts = text == start
    contexts = np.zeros(len(text), np.int64)  # contexts[i] is the number of the (n-1)-gram before text[i]
    n_contexts = 1
    for _ in range(order):
        there = contexts != _NONE
        keys, numbers = np.unique(contexts[there] * symbols + text[there], return_inverse=True)
        counts = np.bincount(numbers[(counted & ~starts)[there]], minlength=len(keys))
        levels.append(Counts(keys, counts, n_contexts, symbols, start))
        ngrams = np.full(len(text), _NONE)
        ngrams[there] = numbers
        contexts = np.concatenate([[_NONE], ngrams[:-1]])
        contexts[starts] = _NONE
        n_contexts = len(keys)
    return levels


def _merged(some: list[Counts], others: list[Counts]) -> list[Counts]:
    """Return the sums of two texts' counts; the n-grams are renumbered, level by level."""
    levels: list[Counts] = []
    some_numbers = other_numbers = np.zeros(1, np.int64)  # (C,): the new number of each context
    n_contexts = 1
    for a, b in zip(some, others, strict=True):
        some_keys = some_numbers[a.contexts] * a.symbols + a.tokens
        other_keys = other_numbers[b.contexts] * b.symbols + b.tokens
        keys = np.concatenate([some_keys, other_keys])
        keys.sort(kind="stable")  # merges the two sorted parts
        keys = keys[np.diff(keys, prepend=-1) > 0]
        some_numbers, other_numbers = np.searchsorted(keys, some_keys), np.searchsorted(keys, other_keys)
        counts = np.zeros(len(keys), np.int64)
        counts[some_numbers] += a.counts
        counts[other_numbers] += b.counts
        levels.append(Counts(keys, counts, n_contexts, a.symbols, a.start))
        n_contexts = len(keys)
    return levels
