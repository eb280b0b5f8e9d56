"""The compiled functions that read the n-grams of an ARPA file, and look for their contexts: `IndexedLevel`.

The functions are plain Python, which `elman.numba_jit` compiles.
"""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.models.ngram.levels import UNSEEN, Level
from elman.numba_jit import jit_exact
from elman.text.hashed_words import hash_of_word, slot_of_word

_ID = 1  # the column of a slot of `HashedWords`
_UNUSUAL = -1
_EXACT = 2**53  # smaller integers are exact; so is 10**22: their product or quotient is rounded only once
_POWERS = np.array([float(f"1e{k}") for k in range(23)])


class IndexedLevel(Level):
    """A level that is searched by compiled code, for millions of n-grams: each among those of its context only."""

    @cached_property
    def _firsts(self) -> NDArray[np.int64]:
        """The number of the first n-gram of each context, (C + 1,)."""
        return np.searchsorted(self.keys, np.arange(len(self.backoffs) + 1) * self.symbols)

    def find(self, contexts: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Do the same as `Level.find`."""
        numbers = np.empty(contexts.size, np.int64)
        find_ngrams(self.keys, self._firsts, self.symbols, contexts.ravel(), ids.ravel(), numbers)
        return numbers.reshape(contexts.shape)


@jit_exact
def find_ngrams(
    keys: NDArray[np.int64],
    firsts: NDArray[np.int64],
    symbols: int,
    contexts: NDArray[np.int64],
    ids: NDArray[np.int64],
    numbers: NDArray[np.int64],
) -> None:
    """Write the numbers of the n-grams (context, id), UNSEEN for those that are not in the table."""
    for i in range(len(contexts)):
        numbers[i] = UNSEEN
        if contexts[i] < 0 or ids[i] < 0:
            continue
        key = contexts[i] * symbols + ids[i]
        low, size = firsts[contexts[i]], firsts[contexts[i] + 1] - firsts[contexts[i]]
        if ids[i] < size and keys[low + ids[i]] == key:  # as with all 1-grams
            low, size = low + ids[i], 1
        while size > 1:
            half = size >> 1
            if keys[low + half] <= key:
                low += half
            size -= half
        if size == 1 and keys[low] == key:
            numbers[i] = low


@jit_exact
def read_ngrams(
    data: NDArray[np.uint8],
    begin: int,
    words: NDArray[np.uint8],
    ends: NDArray[np.int64],
    slots: NDArray[np.int64],
    word_ids: NDArray[np.int64],
    least: float,
    most: float,
    rows: NDArray[np.int64],
    log10_probs: NDArray[np.float64],
    log10_backoffs: NDArray[np.float64],
    lines: NDArray[np.int64],
) -> int:
    """Read G n-grams from data[begin:]; return where the line after the last one begins, or -1 for unusual lines.

    Written are the ids (G, n) of their words, the logarithms, from ``least`` to 0 or ``most``, and the numbers of
    their lines, from 1. Lines are unusual if they are damaged, or have a number of more digits than a float.
    """
    n = rows.shape[1]
    place, line = begin, 1
    for ngram in range(len(rows)):
        field = 0  # the number of the field
        first: Any = np.int64(-1)  # where it begins
        log10_backoffs[ngram] = 0.0
        while True:
            byte = data[place] if place < len(data) else np.uint8(10)
            if not (byte == 32 or 9 <= byte <= 13):
                first = place if first < 0 else first
            else:
                if first >= 0:
                    if 0 < field <= n:
                        number = hash_of_word(data, first, place)
                        slot = slot_of_word(data, first, place, number, words, ends, slots)
                        if slots[slot, _ID] < 0:
                            return _UNUSUAL
                        rows[ngram, field - 1] = word_ids[slots[slot, _ID]]
                    elif field <= n + 1:
                        value = decimal(data, first, place)
                        if not value <= (0.0 if field == 0 else most):
                            return _UNUSUAL
                        (log10_probs if field == 0 else log10_backoffs)[ngram] = max(value, least)
                    field, first = field + 1, np.int64(-1)
                if byte == 10:
                    if place >= len(data):
                        return _UNUSUAL
                    if field:
                        break
                    line += 1
            place += 1
        if field != n + 1 and field != n + 2:
            return _UNUSUAL
        lines[ngram] = line
        line += 1
        place += 1
    return place


@jit_exact
def decimal(data: NDArray[np.uint8], first: Any, end: Any) -> Any:
    """Return the number data[first:end], correctly rounded; NaN if it is none, or has too many digits to be sure.

    Source: W. D. Clinger (1990), How to read floating point numbers accurately.
    """
    negative = data[first] == 45
    place = first + 1 if negative or data[first] == 43 else first
    digits: Any = 0
    power, seen, in_fraction = 0, 0, False
    while place < end and data[place] != 101 and data[place] != 69:
        if data[place] == 46 and not in_fraction:
            in_fraction = True
        elif 48 <= data[place] <= 57 and digits < _EXACT // 16:
            digits = 10 * digits + np.int64(data[place]) - 48
            power -= in_fraction
            seen += 1
        else:
            return np.nan
        place += 1
    if place < end:  # an exponent
        place += 1
        below = place < end and data[place] == 45
        place += place < end and (below or data[place] == 43)
        exponent: Any = 0
        if place == end:
            return np.nan
        while place < end:
            if not 48 <= data[place] <= 57 or exponent > 99:
                return np.nan
            exponent = 10 * exponent + np.int64(data[place]) - 48
            place += 1
        power += -exponent if below else exponent
    if seen == 0 or abs(power) >= len(_POWERS):
        return np.nan
    value = digits * _POWERS[power] if power >= 0 else digits / _POWERS[-power]
    return -value if negative else value
