"""What every peer of a work is given: the same ids and the same initial weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.bench.works import Work
from elman.models.weights import Weight, plan_weights

TOKENS = 200_000


@dataclass(frozen=True)
class Inputs:
    """ids (n,), and weights by elman's names."""

    ids: NDArray[np.int64]
    weights: dict[str, NDArray[np.float32]]


def made_up(work: Work) -> Inputs:
    """Draw ids by Zipf's law, and weights: the same ones at every call."""
    rng = np.random.default_rng(0)
    return Inputs(rng.choice(work.V, work.first or TOKENS, p=zipf(work.V)), draw_weights(work))


def zipf(V: int) -> NDArray[np.float64]:
    """Return V shares, the k-th of which is a k-th of the first."""
    shares = 1 / np.arange(1, V + 1)
    return shares / float(shares.sum())


def draw_weights(work: Work) -> dict[str, NDArray[np.float32]]:
    """Return initial weights under elman's names: float32, biases 0."""
    rng = np.random.default_rng(0)

    def draw(weight: Weight) -> NDArray[np.float32]:
        if weight.scale is None:
            return np.zeros(weight.shape, np.float32)
        return (rng.standard_normal(weight.shape) * (work.scale or weight.scale)).astype(np.float32)

    plan = plan_weights(work.V, work.D, work.H, work.cell, work.layers, embedding_scale=0.1)
    return {name: draw(weight) for name, weight in plan.items()}
