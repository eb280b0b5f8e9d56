"""λ and β by direct search: those with the fewest word errors on utterances whose words are known."""

import numpy as np
from numpy.typing import NDArray

from elman.rescoring.weights import Floats, Table, Weights, chosen

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
