"""Smoothing: from n-gram counts to the weights of an interpolated model."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.models.ngram_counts import Counts


@dataclass(frozen=True)
class Weights:
    """The two parts of P(w | h) = weight(h, w) + backoff(h) · P(w | h without its oldest token).

    For every context the weights and the backoff sum to 1; a context that nothing follows has backoff 1.
    """

    weights: NDArray[np.float64]  # (G,), one for each n-gram
    backoffs: NDArray[np.float64]  # (C,), one for each context


Smoothing = Callable[[list[Counts]], list[Weights]]


def witten_bell(levels: list[Counts]) -> list[Weights]:
    """Give the unseen as many counts as the context has distinct followers (Witten and Bell, 1991).

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
