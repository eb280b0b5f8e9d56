"""Interpolation weights of acoustic and language-model scores: apply and tune them.

total = acoustic + λ·LM + β·words, natural logarithms: the numbers of all candidates, and their best.

λ and β by direct search: those with the fewest word errors on utterances whose words are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.rescoring.nbest import Utterance

Floats = NDArray[np.float64]
IMPOSSIBLE = -1e30  # stands for ln 0 in sums: unlike infinity, 0 times it is 0


@dataclass(frozen=True)
class Weights:
    """λ, the weight of the language model, and β, nats for every word."""

    lm: float
    words: float


@dataclass(frozen=True)
class Table:
    """The numbers (U, K) of U utterances with up to K candidates; -inf in ``acoustic`` where there is none."""

    acoustic: Floats
    lm: Floats
    words: Floats

    @classmethod
    def of(cls, utterances: Sequence[Utterance], lm: Sequence[Floats]) -> "Table":
        """Return the table of utterances and of ln P (K,) of the candidates of each."""
        scores = [[c.score for c in u.candidates] for u in utterances]
        words = [[len(c.text.split()) for c in u.candidates] for u in utterances]
        finite = [np.maximum(each, IMPOSSIBLE) for each in lm]
        return cls(padded(scores, -np.inf), padded(finite), padded(words))

    def totals(self, weights: Weights) -> Floats:
        """Return acoustic + λ·LM + β·words of every candidate: (U, K)."""
        return self.acoustic + weights.lm * self.lm + weights.words * self.words

    def best(self, weights: Weights) -> NDArray[np.intp]:
        """Return the candidate of the highest total of every utterance, (U,); of equal ones the first."""
        best: NDArray[np.intp] = self.totals(weights).argmax(axis=1)
        return best

    def part(self, rows: NDArray[np.bool_]) -> "Table":
        """Return the table of some of the utterances."""
        return Table(self.acoustic[rows], self.lm[rows], self.words[rows])

    def where(self, rows: NDArray[np.bool_], other: "Table") -> "Table":
        """Return this table's numbers of these utterances, and another's of the rest."""
        mask = rows[:, None]
        return Table(self.acoustic, np.where(mask, self.lm, other.lm), self.words)


def padded(rows: Sequence[Sequence[float] | NDArray[np.generic]], fill: float = 0.0) -> Floats:
    """Return rows of unlike lengths as an array (U, K)."""
    lengths = np.array([len(row) for row in rows])
    table = np.full((len(rows), int(lengths.max(initial=0))), fill)
    table[np.arange(table.shape[1]) < lengths[:, None]] = np.concatenate(rows)
    return table


def chosen(values: NDArray[np.generic], best: NDArray[np.intp]) -> Floats:
    """Return the value (U,) of each utterance's best candidate out of those of all, (U, K)."""
    found: Floats = np.take_along_axis(values, best[:, None], axis=1)[:, 0].astype(np.float64)
    return found


LAMBDAS = np.geomspace(0.01, 100, 33)
PER_WORD = np.arange(-10.0, 11.0)  # β / λ, nats of the language model, whose words cost about as much
FINER = 7


def tune(table: Table, errors: Floats) -> Weights:
    """Return the weights with the fewest errors, out of ``errors`` (U, K) of all candidates; (0, 0) where none helps.

    Word errors as a function of the weights are a landscape of steps, whose lowest place is often a pit by chance: what
    is sought is the lowest mean of a place and its 8 neighbours, on a grid over ln λ and β / λ, then on a finer
    one around it.
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
    """Return λ and β / λ where the errors, smoothed, are fewest; of equal places the one with the smallest weights."""
    counts = np.array([[count_errors(table, errors, Weights(x, x * y)) for y in per_word] for x in lambdas])
    around = np.lib.stride_tricks.sliding_window_view(np.pad(counts, 1, mode="edge"), (3, 3))
    smooth = around.sum(axis=(2, 3)).tolist()
    places = [
        (smooth[i][j], x, abs(y), y)
        for i, x in enumerate(lambdas.tolist())
        for j, y in enumerate(per_word.tolist())
    ]
    _, lm, _, best = min(places)
    return lm, best
