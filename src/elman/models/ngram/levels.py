"""`Level`: the table of the n-grams of one length, with their weights; and `SortedNgrams`: look-ups in all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

A = TypeVar("A", bound=np.generic)

UNSEEN = -1  # the number of an n-gram or a context that did not occur in training
_NO_KEY = -2  # neither the key of an n-gram nor UNSEEN


@dataclass(frozen=True)
class Level:
    """A sorted table of n-grams, keyed as in ``Counts``. The arrays may be memory-mapped."""

    keys: NDArray[np.int64]  # (G,), ascending
    weights: NDArray[np.float64]  # (G,)
    backoffs: NDArray[np.float64]  # (C,)
    symbols: int  # K

    def find(self, contexts: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the n-grams (context, id), for arrays of the same shape; UNSEEN if not in the table."""
        keys = np.where((contexts < 0) | (ids < 0), UNSEEN, contexts * self.symbols + ids)
        places = np.searchsorted(self.keys, keys)
        return np.where(_entries(self.keys, places, _NO_KEY) == keys, places, UNSEEN)

    def weights_of(self, ngrams: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the weights of n-grams by number, 0 for UNSEEN."""
        return np.where(ngrams == UNSEEN, 0.0, _entries(self.weights, ngrams, 0.0))

    def backoffs_of(self, contexts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the backoff weights of contexts by number, 1 for UNSEEN."""
        return np.where(contexts == UNSEEN, 1.0, _entries(self.backoffs, contexts, 1.0))


def _entries(table: NDArray[A], places: NDArray[np.int64], of_none: Any) -> NDArray[A]:
    """Return the entries of a table, at its ends for places outside it; ``of_none`` if the table is empty."""
    return table.take(places, mode="clip") if len(table) else np.full(places.shape, of_none, table.dtype)


class SortedNgrams:
    """The n-grams of all lengths in sorted tables, which NumPy searches: how text is read, and what can follow it.

    Texts are read one after another, each from a past of order - 1 tokens: ids in [0, V), -1 where the text had not
    begun, or V for ``<s>``. Contexts do not reach over ``eos`` (None: there is none), and after it begin with ``<s>``.
    """

    def __init__(self, levels: Sequence[Level], vocab_size: int, eos: int | None) -> None:
        self._levels = levels
        self._vocab_size = vocab_size
        self._eos = eos
        self._start = int(levels[0].find(np.array(0), np.array(vocab_size)))  # the number of the 1-gram <s>

    def read(
        self, ids: NDArray[np.int64], lengths: NDArray[np.int64], pasts: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the probability of each of ids (n,), and the length of the longest n-gram that ends in it: (n,) each.

        ids are those of N texts with these lengths (N,), whose pasts are the rows of an array (N, P); or (1, P), if
        the past is the same for all.
        """
        N, P = len(lengths), pasts.shape[1]
        begins = np.cumsum(lengths + P) - (lengths + P)  # (N,), where the past of each text begins
        is_past = np.zeros(len(ids) + N * P, np.bool_)
        places = begins[:, None] + np.arange(P)  # (N, P)
        is_past[places] = True
        text = np.empty(len(is_past), np.int64)  # every text after its past
        text[places], text[~is_past] = pasts, ids
        probs = np.full(len(text), 1 / self._vocab_size)
        matched = np.ones(len(text), np.int64)
        for n, (level, contexts, ngrams) in enumerate(self._look_up(text, begins), 1):
            probs = level.weights_of(ngrams) + level.backoffs_of(contexts) * probs
            matched[ngrams != UNSEEN] = n
        return probs[~is_past], matched[~is_past]

    def distributions(self, pasts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of every symbol after the pasts (N, P): (N, K), with that of ``<s>`` at the end."""
        N, P = pasts.shape
        text = np.append(pasts, np.full((N, 1), UNSEEN), axis=1)  # (N, P + 1): any token after each past
        probs: NDArray[np.float64] = np.full((1, self._levels[0].symbols), 1 / self._vocab_size)
        for n, (level, contexts, _) in enumerate(self._look_up(text.ravel(), np.arange(N) * (P + 1))):
            after = contexts[P :: P + 1] if n else np.zeros(1, np.int64)  # (N,), or (1,): the empty context
            first_keys = after * level.symbols
            firsts = np.searchsorted(level.keys, first_keys)
            ends = np.searchsorted(level.keys, first_keys + level.symbols)
            self._add_level(
                probs, level.backoffs_of(after), level.keys, level.weights, first_keys, firsts, ends
            )
            if not n:
                probs = np.repeat(probs, N, axis=0)  # (N, K)
        return probs

    @staticmethod
    def _add_level(
        probs: NDArray[np.float64],
        backoffs: NDArray[np.float64],
        keys: NDArray[np.int64],
        weights: NDArray[np.float64],
        first_keys: NDArray[np.int64],
        firsts: NDArray[np.intp],
        ends: NDArray[np.intp],
    ) -> None:
        """Multiply probabilities (N, K) by the backoffs (N,), and add the weights of the n-grams firsts[n]:ends[n]."""
        probs *= backoffs[:, None]
        for row, (first_key, first, end) in enumerate(zip(first_keys, firsts, ends, strict=True)):
            probs[row, keys[first:end] - first_key] += weights[first:end]

    def _look_up(
        self, text: NDArray[np.int64], begins: NDArray[np.int64]
    ) -> Iterator[tuple[Level, NDArray[np.int64], NDArray[np.int64]]]:
        """Yield each level with the context before every token of text (L,), and the n-gram that ends in it.

        An n-gram that ends in one token is the context of the next at the next level; but after the end of a sentence
        that context is ``<s>``, and where a text begins it is unseen.
        """
        contexts = np.zeros(len(text), np.int64)
        begins = begins[begins < len(text)]  # but for empty texts at the end
        after_end = self._start
        for level in self._levels:
            ngrams = level.find(contexts, text)
            yield level, contexts, ngrams
            contexts = np.roll(ngrams, 1)
            if self._eos is not None:
                contexts[np.roll(text == self._eos, 1)] = after_end
                after_end = UNSEEN
            contexts[begins] = UNSEEN


def rows_of(levels: Sequence[Level], n: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ids (B, n) of the n-grams with these numbers (B,)."""
    columns = []
    for level in reversed(levels[:n]):
        numbers, last = np.divmod(level.keys[numbers], level.symbols)
        columns.append(last)
    return np.stack(columns[::-1], axis=1)


def numbers_and_probs(
    levels: Sequence[Level], rows: NDArray[np.int64], vocab_size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the numbers (B,) of the n-grams rows (B, n), UNSEEN if not in the table, and P(last | others) (B,)."""
    probs = np.full(len(rows), 1 / vocab_size)
    ngrams = np.zeros((len(rows), rows.shape[1] + 1), np.int64)
    for k, level in enumerate(levels[: rows.shape[1]]):
        contexts = ngrams[:, :-1]  # before each column from the k-th on
        ngrams = level.find(contexts, rows[:, k:])
        probs = level.weights_of(ngrams[:, -1]) + level.backoffs_of(contexts[:, -1]) * probs
    return ngrams[:, -1], probs
