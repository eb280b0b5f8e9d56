"""The clusters of an adaptive softmax: frequency ranks of the words, and sizes and widths of the clusters."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.models.base import Ids

STEP = 4  # each tail cluster has so many times the words of the one before, and is so many times narrower
MAX_TAILS = 3
MIN_HEAD = 1000  # words: a smaller head would hardly be faster
MIN_WIDTH = 4
CHUNK = 1 << 20  # ids


def frequency_ranks(ids: Ids, vocab_size: int) -> NDArray[np.int32]:
    """Return the rank (V,) of each id by decreasing frequency in ids (n,); ties are in order of id."""
    ranks = np.empty(vocab_size, np.int32)
    counts = count_ids(ids, vocab_size)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(vocab_size, dtype=np.int32)
    return ranks


def count_ids(ids: Ids, vocab_size: int) -> NDArray[np.int64]:
    """Return the frequency (V,) of each id in ids (n,), which may be memory-mapped: it is read in chunks."""
    counts = np.zeros(vocab_size, np.int64)
    for k in range(0, len(ids), CHUNK):
        counts += np.bincount(ids[k : k + CHUNK], minlength=vocab_size)
    return counts


def default_cutoffs(vocab_size: int) -> tuple[int, ...]:
    """Return V/64, V/16 and V/4, without those that would make a head of fewer than 1000 words.

    Every tail cluster then has four times the words of the one before, at a quarter of the width (`tail_width`), and
    so the same number of weights. Under Zipf's law, P(word of rank r) ∝ 1/r, all also have the same number of
    targets, about ln 4 / ln V of a block, and so take the same number of multiplications. (The paper finds its
    cutoffs by dynamic programming over measured times and counts.)
    """
    quarters = [vocab_size // STEP**k for k in range(MAX_TAILS, 0, -1)]
    return tuple(c for c in quarters if c >= MIN_HEAD) or (max(1, quarters[-1]),)


def tail_width(hidden_size: int, k: int) -> int:
    """Return the width H/4^k to which tail cluster k = 1, 2, … is projected; at least 4, at most H."""
    narrowed: int = hidden_size // STEP**k
    return min(hidden_size, max(MIN_WIDTH, narrowed))


def tail_sizes(cutoffs: Sequence[int], vocab_size: int) -> list[int]:
    """Return the number of words of every tail cluster.

    Raises:
        ConfigError: there is no cutoff, or they do not increase strictly within 1 … V - 1.
    """
    bounds = [*cutoffs, vocab_size]
    sizes = [last - first for first, last in pairwise(bounds)]
    if not cutoffs or cutoffs[0] < 1 or min(sizes) < 1:
        raise ConfigError(
            "the cutoffs of an adaptive softmax must be increasing numbers ≥ 1 and below the vocabulary's "
            f"{vocab_size:,} tokens; got {', '.join(map(str, cutoffs)) or 'none'}"
        )
    return sizes


def checked_ranks(ranks: NDArray[Any], vocab_size: int) -> NDArray[np.int32]:
    """Return ranks (V,) as int32.

    Raises:
        ConfigError: they are not a permutation of 0, …, V - 1.
    """
    ranks = np.asarray(ranks)
    if ranks.shape != (vocab_size,) or not np.array_equal(np.sort(ranks), np.arange(vocab_size)):
        raise ConfigError(f"ranks must be the numbers from 0 to {vocab_size - 1}, each once")
    return ranks.astype(np.int32)
