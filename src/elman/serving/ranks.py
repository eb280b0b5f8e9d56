"""The most probable tokens of a distribution."""

import numpy as np
from numpy.typing import NDArray

from elman.models.base import LogProbs


def most_probable(log_probs: LogProbs, count: int) -> NDArray[np.intp]:
    """Return the ids of the ``count`` highest of ln P (V,), the highest first; of equal ones the smaller id first."""
    count = min(count, len(log_probs))
    if count == 0:
        return np.zeros(0, np.intp)
    least = np.partition(log_probs, len(log_probs) - count)[len(log_probs) - count]
    (candidates,) = np.nonzero(log_probs >= least)  # more than `count` where several are equal to the least
    order = np.argsort(-log_probs[candidates], kind="stable")
    return np.asarray(candidates[order[:count]])
