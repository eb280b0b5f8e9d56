"""Smoothing, from n-gram counts to the weights of an interpolated model: Witten-Bell and modified Kneser-Ney.

Source: S. Chen and J. Goodman, An empirical study of smoothing techniques for language modeling, 1999.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from elman.models.ngram.counts import Counts


@dataclass(frozen=True)
class Weights:
    """The two parts of P(w | h) = weight(h, w) + backoff(h) · P(w | h without its oldest token).

    The weights and the backoff of a context sum to 1; a context without followers has backoff 1.
    """

    weights: NDArray[np.float64]  # (G,), one for each n-gram
    backoffs: NDArray[np.float64]  # (C,), one for each context


Smoothing = Callable[[list[Counts]], list[Weights]]


def witten_bell(levels: list[Counts]) -> list[Weights]:
    """Witten-Bell: unseen tokens get as many counts as the context has distinct followers (Witten and Bell, 1991).

    weight(h, w) = c(h, w) / (c(h) + d(h)) and backoff(h) = d(h) / (c(h) + d(h)), with d the number of
    distinct followers, in the interpolated form of Chen and Goodman (1999), section 2.6.
    """
    return [_witten_bell(level) for level in levels]


def _witten_bell(level: Counts) -> Weights:
    contexts, C = level.contexts, level.n_contexts
    distinct = np.bincount(contexts, weights=level.counts > 0, minlength=C)  # (C,)
    total = np.bincount(contexts, weights=level.counts, minlength=C) + distinct  # (C,)
    backoffs = np.divide(distinct, total, out=np.ones(C), where=total > 0)
    return Weights(level.counts / np.maximum(total, 1)[contexts], backoffs)


FALLBACK = (0.5, 1.0, 1.5)  # the discounts of a text that is too small to estimate them


def kneser_ney(levels: list[Counts]) -> list[Weights]:
    """Interpolated modified Kneser-Ney: subtract D1, D2 or D3+ from the counts, for the shorter context.

    weight(h, w) = (a(h, w) - D(a(h, w))) / Σ a(h, ·) and backoff(h) = Σ D(a(h, ·)) / Σ a(h, ·), with the
    counts a of ``adjusted_counts`` and the discounts of ``discounts``; Chen and Goodman, equations 21 to 23.
    """
    return [_discounted(level, a) for level, a in zip(levels, adjusted_counts(levels), strict=True)]


def adjusted_counts(levels: list[Counts]) -> list[NDArray[np.int64]]:
    """Return the counts of Kneser-Ney at each level: the number of distinct symbols that precede an n-gram.

    The longest n-grams keep their counts, and so do those that begin with ``<s>``.
    """
    adjusted: list[NDArray[np.int64]] = []
    endings = np.zeros(
        len(levels[0].keys), np.int64
    )  # (G,): the number of each n-gram without its first symbol
    from_start = levels[0].tokens == levels[0].start  # (G,)
    for level, longer in pairwise(levels):
        ends = endings[longer.contexts] * level.symbols + longer.tokens
        endings = np.searchsorted(level.keys, ends)
        distinct = np.bincount(endings, minlength=len(level.keys))
        adjusted.append(np.where(from_start, level.counts, distinct))
        from_start = from_start[longer.contexts]
    return [*adjusted, levels[-1].counts]


def discounts(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 0, D1, D2 and D3+: the discounts of the counts 0, 1, 2, and 3 or more.

    With n_k the number of n-grams counted k times, Y = n_1 / (n_1 + 2 n_2) and D_k = k - (k+1) Y n_{k+1} / n_k
    (Chen and Goodman, 1999, equation 26). If an n_k is 0, or a D_k not positive, they are 0.5, 1 and 1.5.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    if n[1:5].all():
        Y = n[1] / (n[1] + 2 * n[2])
        k = np.arange(1, 4)
        D = k - (k + 1) * Y * n[k + 1] / n[k]
        if (D > 0).all():
            return np.array([0, *D])
    return np.array([0, *FALLBACK])


def _discounted(level: Counts, counts: NDArray[np.int64]) -> Weights:
    contexts, C = level.contexts, level.n_contexts
    D = discounts(counts)[np.minimum(counts, 3)]  # (G,)
    total = np.bincount(contexts, weights=counts, minlength=C)  # (C,)
    taken = np.bincount(contexts, weights=D, minlength=C)  # (C,)
    backoffs = np.divide(taken, total, out=np.ones(C), where=total > 0)
    return Weights((counts - D) / np.maximum(total, 1)[contexts], backoffs)
