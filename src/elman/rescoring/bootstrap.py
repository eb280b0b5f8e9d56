"""How sure a gain is: confidence intervals by drawing the utterances, or the speakers, anew."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SAMPLES = 10_000
LEVEL = 0.95
_AT_ONCE = 1 << 22  # draws held


def gain_interval(
    first: NDArray[np.float64],
    rescored: NDArray[np.float64],
    groups: Sequence[str],
    rng: np.random.Generator,
    samples: int = SAMPLES,
) -> tuple[float, float]:
    """Return where the relative gain, 1 - Σ rescored / Σ first, lies in 95 % of the samples.

    ``first`` and ``rescored`` are the errors (U,) of every utterance; utterances of one group (their own name, or their
    speaker) are drawn together, with replacement, as many groups as there are (M. Bisani and H. Ney, Bootstrap
    estimates for confidence intervals in ASR performance evaluation, ICASSP 2004).
    (nan, nan) where a sample has no errors.
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.stack([np.bincount(group, errors) for errors in (first, rescored)], axis=1)  # (G, 2)
    G = len(sums)
    step = max(1, _AT_ONCE // G)
    drawn = [
        sums[rng.integers(0, G, (min(step, samples - k), G))].sum(axis=1) for k in range(0, samples, step)
    ]
    totals = np.concatenate(drawn)  # (samples, 2)
    if not totals[:, 0].all():
        return float("nan"), float("nan")
    tails = (1 - LEVEL) / 2
    low, high = np.quantile(1 - totals[:, 1] / totals[:, 0], [tails, 1 - tails])
    return float(low), float(high)
