"""The difference of two models' accuracies on the same minimal pairs: McNemar's exact test, and Newcombe's interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from elman.errors import ShapeError
from elman.evaluation.minimal_pairs import wilson_interval


@dataclass(frozen=True)
class AccuracyDifference:
    """How much more accurate ``model`` is than ``other`` on the same pairs: ``difference``, a fraction of the pairs.

    ``only`` pairs are right for the model alone, ``other_only`` for the other alone. ``low`` and ``high`` are the
    bounds of the 95 % interval. ``p`` is the probability of counts at least as unequal if each pair on which the
    models disagree favoured either equally.
    """

    model: str
    other: str
    pairs: int
    only: int
    other_only: int
    difference: float
    low: float
    high: float
    p: float


def accuracy_difference(
    right: Sequence[bool], other_right: Sequence[bool], model: str = "", other: str = ""
) -> AccuracyDifference:
    """Return the paired difference of two models' accuracies: which pairs each has right, in the same order.

    Sources: Q. McNemar (1947), the exact binomial form; R. G. Newcombe (1998), method 10, for the interval. The pairs
    are assumed to be independent.

    Raises:
        ShapeError: the numbers of pairs differ, or are 0.
    """
    n = len(right)
    if n != len(other_right) or n == 0:
        raise ShapeError(
            f"both models must have scored the same one or more pairs, got {n} and {len(other_right)}"
        )
    both = sum(a and b for a, b in zip(right, other_right, strict=True))
    only, other_only = sum(right) - both, sum(other_right) - both
    low, high = newcombe_interval(both, only, other_only, n - both - only - other_only)
    return AccuracyDifference(
        model, other, n, only, other_only, (only - other_only) / n, low, high, mcnemar(only, other_only)
    )


def mcnemar(only: int, other_only: int) -> float:
    """Return the two-sided p of McNemar's exact test for the counts of the pairs that just one model has right."""
    n, fewer = only + other_only, min(only, other_only)
    tail = math.fsum(
        math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2))
        for k in range(fewer + 1)
    )
    return min(1.0, 2 * tail)


def newcombe_interval(both: int, only: int, other_only: int, neither: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two proportions of the same cases, from the four counts."""
    n = both + only + other_only + neither
    first, second = (both + only) / n, (both + other_only) / n
    (low, high), (other_low, other_high) = (
        wilson_interval(both + only, n),
        wilson_interval(both + other_only, n),
    )
    margins = (both + only) * (other_only + neither) * (both + other_only) * (only + neither)
    product = both * neither - only * other_only
    correlation = (
        (max(product - n / 2, 0.0) if product > 0 else product) / math.sqrt(margins) if margins else 0.0
    )

    def distance(down: float, up: float) -> float:
        return math.sqrt(max(0.0, down**2 - 2 * correlation * down * up + up**2))

    difference = first - second
    return (
        difference - distance(first - low, other_high - second),
        difference + distance(high - first, second - other_low),
    )
