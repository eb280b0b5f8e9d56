"""Combine acoustic and language-model scores, and tune the weights for the fewest word errors.

total = acoustic + λ·LM + β·words, in natural logarithms. λ and β are found by direct search on utterances with known
references.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.rescoring.nbest import Utterance

Floats = NDArray[np.float64]
IMPOSSIBLE = -1e30  # stands for ln 0 in sums: unlike infinity, 0 times it is 0
LAMBDAS = np.geomspace(0.01, 100, 33)
PER_WORD = np.arange(-10.0, 11.0)  # β / λ in nats; a language model's ln P of a word is of this size
FINER = 7  # points per axis of the finer grid


@dataclass(frozen=True)
class Weights:
    """λ, the weight of the language model (``lm``), and β, the nats added for every word (``words``)."""

    lm: float
    words: float


@dataclass(frozen=True)
class Table:
    """The scores (U, K) of U utterances with up to K candidates; ``acoustic`` is -inf where there is no candidate."""

    acoustic: Floats
    lm: Floats
    words: Floats

    @classmethod
    def of(cls, utterances: Sequence[Utterance], lm: Sequence[Floats]) -> "Table":
        """Return the table of utterances, given ln P (K,) of the candidates of each."""
        scores = [[c.score for c in u.candidates] for u in utterances]
        words = [[len(c.text.split()) for c in u.candidates] for u in utterances]
        finite = [np.maximum(each, IMPOSSIBLE) for each in lm]
        return cls(padded(scores, -np.inf), padded(finite), padded(words))

    def totals(self, weights: Weights) -> Floats:
        """Return acoustic + λ·LM + β·words of every candidate: (U, K)."""
        return self.acoustic + weights.lm * self.lm + weights.words * self.words

    def best(self, weights: Weights) -> NDArray[np.intp]:
        """Return the candidate with the highest total for every utterance, (U,); of equal ones the first."""
        best: NDArray[np.intp] = self.totals(weights).argmax(axis=1)
        return best

    def part(self, rows: NDArray[np.bool_]) -> "Table":
        """Return the table of some of the utterances."""
        return Table(self.acoustic[rows], self.lm[rows], self.words[rows])

    def where(self, rows: NDArray[np.bool_], other: "Table") -> "Table":
        """Return a table with this table's LM scores for the marked utterances and another's for the others."""
        mask = rows[:, None]
        return Table(self.acoustic, np.where(mask, self.lm, other.lm), self.words)


def padded(rows: Sequence[Sequence[float] | NDArray[np.generic]], fill: float = 0.0) -> Floats:
    """Return rows of different lengths as an array (U, K), padded with ``fill``."""
    lengths = np.array([len(row) for row in rows])
    table = np.full((len(rows), int(lengths.max(initial=0))), fill)
    table[np.arange(table.shape[1]) < lengths[:, None]] = np.concatenate(rows)
    return table


def chosen(values: NDArray[np.generic], best: NDArray[np.intp]) -> Floats:
    """Return the value (U,) of each utterance's ``best`` candidate, given the values (U, K) of all."""
    found: Floats = np.take_along_axis(values, best[:, None], axis=1)[:, 0].astype(np.float64)
    return found


def tune(table: Table, errors: Floats) -> Weights:
    """Return the weights with the fewest errors, given ``errors`` (U, K) of all candidates; (0, 0) if none helps.

    The word errors are a step function of the weights, whose minimum is often an accident of the data. The search
    therefore minimises the mean over a grid point and its 8 neighbours, on a grid over ln λ and β / λ, then on a finer
    grid around the minimum.
    """
    lm, per_word = _lowest(table, errors, LAMBDAS, PER_WORD)
    ratio = float(LAMBDAS[1] / LAMBDAS[0])
    lm, per_word = _lowest(
        table, errors, lm * np.geomspace(1 / ratio, ratio, FINER), per_word + np.linspace(-1, 1, FINER)
    )
    weights, none = Weights(lm, lm * per_word), Weights(0.0, 0.0)
    return weights if count_errors(table, errors, weights) < count_errors(table, errors, none) else none


def count_errors(table: Table, errors: Floats, weights: Weights) -> float:
    """Return the word errors of the best candidates."""
    return float(chosen(errors, table.best(weights)).sum())


def _lowest(
    table: Table, errors: Floats, lambdas: NDArray[np.float64], per_word: NDArray[np.float64]
) -> tuple[float, float]:
    """Return λ and β / λ with the fewest smoothed errors; of equally good ones those with the smallest weights."""
    counts = np.array([[count_errors(table, errors, Weights(x, x * y)) for y in per_word] for x in lambdas])
    around = np.lib.stride_tricks.sliding_window_view(np.pad(counts, 1, mode="edge"), (3, 3))
    smooth = around.sum(axis=(2, 3)).tolist()
    points = [
        (smooth[i][j], x, abs(y), y)
        for i, x in enumerate(lambdas.tolist())
        for j, y in enumerate(per_word.tolist())
    ]
    _, lm, _, best = min(points)
    return lm, best
