"""Measure what a generated text copies from the training text: the longest match, and the fraction of new n-grams.

Every window of the generated text gets a number, its rank among the windows of its length, by prefix doubling
(R. Karp, R. Miller and A. Rosenberg, 1972): a window of n tokens, w < n ≤ 2w with w a power of 2, is identified by
the ranks of the two windows of w tokens that begin and end it. The training text is then read once, in blocks, and
the same ranks are looked up at every position, so that memory grows with the generated text only. A suffix array of
the training text would give the same answers; it takes 4 to 8 bytes per token and pays off for many generated texts.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, ShapeError, VocabularyError
from elman.files import release_pages
from elman.models.base import Ids

BLOCK = 1 << 16  # positions of the training text per block: a few arrays of this size fit in the CPU's cache
DIRECT = 1 << 18  # if all keys are smaller, they are looked up in a table, else by bisection

Keys: TypeAlias = NDArray[np.int64]  # equal for equal windows
Ranks: TypeAlias = NDArray[np.int64]  # 1, 2, ... in the order of the keys; 0: not in the generated text


@dataclass(frozen=True)
class Novelty:
    """The overlap of a generated text of ``tokens`` tokens with a training text.

    The longest match has ``longest`` tokens and begins at token ``begin`` of the generated text and at token
    ``position`` of the training text, both counted from 0. Of several longest matches it is the first in the training
    text; without any, all three are 0. ``new_share[n]`` is the fraction of the generated text's n-grams, each counted
    as often as it occurs, that do not occur in the training text, for n up to ``tokens`` (R. T. McCoy and others, "How
    much do language models copy from their training data?", TACL 2023).
    """

    tokens: int
    longest: int
    begin: int
    position: int
    new_share: dict[int, float]


def novelty(generated_ids: Ids, training_ids: Ids, max_n: int = 6) -> Novelty:
    """Compare a generated text of ids (m,) with a training text of ids (T,), for n-grams of 1 to ``max_n`` tokens.

    ``training_ids`` may be memory-mapped and contain -1 for tokens without an id, which match nothing.

    Raises:
        ShapeError: one of the arrays does not have exactly one axis.
        VocabularyError: a generated id is below 0.
        ConfigError: ``max_n`` is below 1.
    """
    _check(generated_ids, training_ids, max_n)
    m = len(generated_ids)
    if m == 0:
        return Novelty(0, 0, 0, 0, {})
    generated = _Windows(generated_ids)
    orders = range(1, min(max_n, m) + 1)
    seen = {n: np.zeros(generated.table(n).size + 1, bool) for n in orders}  # by rank
    longest = begin = position = 0
    step = max(BLOCK, m)
    for first in range(0, len(training_ids), step):
        block = _Windows(training_ids[first : first + step + m - 1], generated)
        for n in orders:
            seen[n][block.ranks(n)] = True
        if longest < m and block.holds(longest + 1):
            longest = _longest(block, longest + 1, m)
            ranks = block.ranks(longest)
            place = int(np.argmax(ranks > 0))
            begin, position = int(np.argmax(generated.ranks(longest) == ranks[place])), first + place
        release_pages(training_ids)
    new_share = {n: float(np.mean(~seen[n][generated.ranks(n)])) for n in orders}
    return Novelty(m, longest, begin, position, new_share)


def _check(generated_ids: Ids, training_ids: Ids, max_n: int) -> None:
    for name, ids in (("generated", generated_ids), ("training", training_ids)):
        if ids.ndim != 1:
            raise ShapeError(f"the ids of the {name} text must be (n,), got {ids.shape}")
    if generated_ids.min(initial=0) < 0:
        raise VocabularyError(f"the ids of the generated text must be 0 or more, got {generated_ids.min()}")
    if max_n < 1:
        raise ConfigError(f"max_n must be an integer ≥ 1, got {max_n}")


class _Table:
    """The ranks 1, 2, ... of the given distinct keys; every other key has rank 0."""

    def __init__(self, keys: Keys) -> None:
        self._keys = np.unique(keys)
        self._direct: Ranks | None = None
        if self._keys[-1] < DIRECT:
            self._direct = np.zeros(self._keys[-1] + 2, np.int64)  # the last entry: all larger keys
            self._direct[self._keys] = np.arange(1, self.size + 1)

    @property
    def size(self) -> int:
        return len(self._keys)

    def ranks(self, keys: Keys) -> Ranks:
        """Return the rank of each key; keys must be 0 or more."""
        if self._direct is not None:
            return self._direct.take(keys, mode="clip")
        places = np.searchsorted(self._keys[:-1], keys)
        return np.where(self._keys[places] == keys, places + 1, 0)


class _Windows:
    """The windows of a text (T,) of every length, identified by their ranks among those of the generated text.

    Without ``generated`` the text is the generated one itself.
    """

    def __init__(self, ids: Ids, generated: "_Windows | None" = None) -> None:
        self._ids = ids
        self._generated = generated or self
        self._ranks: dict[int, Ranks] = {}
        self._tables: dict[int, _Table] = {}

    def table(self, n: int) -> _Table:
        """Return the ranks of the windows of n tokens in this text."""
        if n not in self._tables:
            self._tables[n] = _Table(self._keys(n))
        return self._tables[n]

    def ranks(self, n: int) -> Ranks:
        """Return the rank of the window of n tokens at every position: (T - n + 1,)."""
        if n not in self._ranks:
            self._ranks[n] = self._generated.table(n).ranks(self._keys(n))
        return self._ranks[n]

    def holds(self, n: int) -> bool:
        """Return whether any window of n tokens also occurs in the generated text."""
        return bool(self.ranks(n).any())

    def _keys(self, n: int) -> Keys:
        """Return the key of the window of n tokens at every position: (T - n + 1,)."""
        if n == 1:
            return self._ids.astype(np.int64) + 1  # -1, a token without an id, becomes 0
        w = 1 << ((n - 1).bit_length() - 1)  # the power of 2 with w < n ≤ 2w
        halves = self.ranks(w)
        return halves[: w - n] * (self._generated.table(w).size + 1) + halves[n - w :]


def _longest(block: _Windows, known: int, m: int) -> int:
    """Return the length of the longest window that the block shares with the generated text, ``known`` to m tokens."""
    step = 1
    while known + step <= m and block.holds(known + step):
        known += step
        step *= 2
    beyond = min(known + step, m + 1)
    return known + bisect_left(range(known + 1, beyond), True, key=lambda n: not block.holds(n))
