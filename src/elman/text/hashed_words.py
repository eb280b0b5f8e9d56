"""`HashedWords`: the words of a vocabulary in a hash table, and the compiled function that finds those of a text.

The functions are plain Python, which `elman.numba_jit` compiles.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.numba_jit import jit_exact

_FREE = -1  # the id in a slot without a word
_HASH, _ID = 0, 1  # the columns of a slot
_OFFSET, _PRIME = (
    np.uint64(0xCBF29CE484222325),
    np.uint64(0x100000001B3),
)  # of FNV-1a with 64 bits (G. Fowler et al.)


class HashedWords:
    """The ids of V words by their UTF-8 bytes, in a hash table with open addressing and linear probing.

    Words of the same hash are compared byte by byte. It takes the bytes of the words and 40 to 72 bytes for each.
    """

    def __init__(self, words: Sequence[str]) -> None:
        encoded = [word.encode() for word in words]
        joined = np.frombuffer(
            bytearray().join(encoded), np.uint8
        )  # the bytes of all words, one after another
        ends = np.cumsum([0, *map(len, encoded)])  # (V + 1,): word v is joined[ends[v]:ends[v + 1]]
        slots = np.full((1 << (2 * len(words)).bit_length(), 2), _FREE, np.int64)  # (S, 2)
        self.table = (joined, ends, slots)
        insert_words(*self.table)

    def find(
        self, text: str, newline_id: int, unknown_id: int, separators: bool = False
    ) -> NDArray[np.int32]:
        """Return the ids of the words between ASCII whitespace, and ``newline_id`` for each newline.

        With ``separators``, the characters U+001C to U+001F also separate words, as in ``str.split``.
        """
        data = np.frombuffer(bytearray(text, "utf-8", "surrogatepass"), np.uint8)
        ids = np.empty(len(data), np.int32)
        n = find_words(data, *self.table, newline_id, unknown_id, separators, ids)
        return ids[:n]


@jit_exact
def slot_of_word(
    data: NDArray[np.uint8],
    first: Any,
    end: Any,
    mixed: Any,
    words: NDArray[np.uint8],
    ends: NDArray[np.int64],
    slots: NDArray[np.int64],
) -> Any:
    """Return the slot of the word data[first:end], whose hash is ``mixed``, or the free slot that it would take."""
    last = len(slots) - 1
    slot = (mixed ^ (mixed >> 32)) & last
    while slots[slot, _ID] != _FREE:
        if slots[slot, _HASH] == mixed:
            begin = ends[slots[slot, _ID]]
            same = ends[slots[slot, _ID] + 1] - begin == end - first
            for i in range(end - first):
                same = same and words[begin + i] == data[first + i]
            if same:
                return slot
        slot = (slot + 1) & last
    return slot


@jit_exact
def hash_of_word(data: NDArray[np.uint8], first: Any, end: Any) -> Any:
    """Return the hash of the word data[first:end]."""
    mixed = _OFFSET
    for i in range(first, end):
        mixed = (mixed ^ np.uint64(data[i])) * _PRIME
    return np.int64(mixed >> np.uint64(1))


@jit_exact
def insert_words(words: NDArray[np.uint8], ends: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
    """Enter the id of every word."""
    for word in range(len(ends) - 1):
        number = hash_of_word(words, ends[word], ends[word + 1])
        slot = slot_of_word(words, ends[word], ends[word + 1], number, words, ends, slots)
        slots[slot, _HASH], slots[slot, _ID] = number, word


@jit_exact
def find_words(
    data: NDArray[np.uint8],
    words: NDArray[np.uint8],
    ends: NDArray[np.int64],
    slots: NDArray[np.int64],
    newline_id: int,
    unknown_id: int,
    separators: bool,
    ids: NDArray[np.int32],
) -> int:
    """Write the ids of the words and newlines of a text in UTF-8; return how many there are."""
    n, mixed = 0, _OFFSET
    first: Any = np.int64(0)  # with a literal, numba compiles `slot_of_word` twice
    for i in range(len(data) + 1):
        byte = data[i] if i < len(data) else np.uint8(32)
        is_space = byte == 32 or 9 <= byte <= 13 or (separators and 28 <= byte <= 31)
        if not is_space:
            mixed = (mixed ^ np.uint64(byte)) * _PRIME
            continue
        if first < i:
            number = np.int64(mixed >> np.uint64(1))
            found = slots[slot_of_word(data, first, i, number, words, ends, slots), _ID]
            ids[n] = unknown_id if found == _FREE else found
            n += 1
        if byte == 10:
            ids[n] = newline_id
            n += 1
        first, mixed = i + 1, _OFFSET
    return n
