"""Minimal pairs: how often a model gives the right sentence of two the higher probability."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import NormalDist
from typing import Literal

import numpy as np

from elman.evaluation.pair_files import Pair
from elman.evaluation.pair_spelling import Spelling
from elman.evaluation.scoring import LineScore, score_lines
from elman.models.text_model import TextModel

Normalisation = Literal["none", "token"]
ROUNDING = 1e-9  # of a log probability: what the order of a sum in float64 may change
FLOAT32 = 1e-4  # the same of float32 products, whose order differs from batch to batch


@dataclass(frozen=True)
class PairScore:
    """The scores of both sentences, and their difference in nats (a token, where so normalised): above 0 is right.

    The difference is exactly 0, a tie, where both are the same to the model: equally probable up to rounding, the
    same ids, or both impossible.
    """

    pair: Pair
    good: LineScore
    bad: LineScore
    difference: float

    @property
    def right(self) -> bool:
        """Whether the right sentence is the more probable one; a tie is not right."""
        return self.difference > 0

    @property
    def unknown(self) -> bool:
        """Whether either sentence holds a token that the vocabulary lacks."""
        return self.good.unknown + self.bad.unknown > 0


def score_pairs(
    text_model: TextModel,
    pairs: Sequence[Pair],
    spelling: Spelling | None = None,
    normalize: Normalisation = "none",
) -> Iterator[PairScore]:
    """Yield the score of every pair: of whole sentences, each read afresh, with the end of the line.

    ``normalize="token"`` divides ln P by the number of tokens, the end counted. The pairs that are yielded hold the
    sentences as the model read them, in this ``spelling``.
    """
    spelling = Spelling() if spelling is None else spelling
    vocabulary = text_model.vocabulary
    spelled = [
        Pair(spelling.apply(pair.good, vocabulary), spelling.apply(pair.bad, vocabulary), pair.set, pair.line)
        for pair in pairs
    ]
    scores = score_lines(text_model, chain.from_iterable((pair.good, pair.bad) for pair in spelled))
    for pair, good, bad in zip(spelled, scores, scores, strict=True):
        yield PairScore(pair, good, bad, _difference(text_model, pair, good, bad, normalize))


def _difference(
    text_model: TextModel, pair: Pair, good: LineScore, bad: LineScore, normalize: Normalisation
) -> float:
    first, second = (
        score.ln_prob / max(1, score.tokens) if normalize == "token" else score.ln_prob
        for score in (good, bad)
    )
    if math.isclose(first, second, rel_tol=ROUNDING):
        return 0.0
    if math.isclose(first, second, rel_tol=FLOAT32):
        ids, other_ids = (text_model.encode_line(sentence)[1] for sentence in (pair.good, pair.bad))
        if np.array_equal(ids, other_ids):
            return 0.0
    return first - second


@dataclass(frozen=True)
class Accuracy:
    """How many pairs of a set are right; ``ties`` count as wrong. ``unknown`` pairs hold an unknown token."""

    set: str
    pairs: int
    right: int
    ties: int
    unknown: int
    right_known: int

    @property
    def accuracy(self) -> float:
        """The share of all pairs that are right."""
        return self.right / self.pairs

    @property
    def accuracy_known(self) -> float:
        """The share among the pairs without an unknown token; nan where there are none."""
        known = self.pairs - self.unknown
        return self.right_known / known if known else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy: `wilson_interval`."""
        return wilson_interval(self.right, self.pairs)

    @property
    def interval_known(self) -> tuple[float, float]:
        """The 95 % interval of `accuracy_known`."""
        return wilson_interval(self.right_known, self.pairs - self.unknown)


def accuracies(scores: Iterable[PairScore]) -> list[Accuracy]:
    """Return the accuracy of every set, in the order in which they first occur."""
    of_sets: dict[str, list[PairScore]] = {}
    for score in scores:
        of_sets.setdefault(score.pair.set, []).append(score)
    return [_accuracy(name, members) for name, members in of_sets.items()]


def _accuracy(name: str, scores: Sequence[PairScore]) -> Accuracy:
    return Accuracy(
        name,
        len(scores),
        right=sum(score.right for score in scores),
        ties=sum(score.difference == 0 for score in scores),
        unknown=sum(score.unknown for score in scores),
        right_known=sum(score.right and not score.unknown for score in scores),
    )


def over_all(sets: Sequence[Accuracy], name: str = "all") -> Accuracy:
    """Return the accuracy over the pairs of all sets, each pair counted once."""
    counts = [(each.pairs, each.right, each.ties, each.unknown, each.right_known) for each in sets]
    return Accuracy(name, *(sum(column) for column in zip(*counts, strict=True)))


def wilson_interval(right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a share right / n of independent trials (E. B. Wilson, 1927); (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = right / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
