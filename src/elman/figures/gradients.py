"""The gradients inside a TimeRNN, measured one step at a time."""

import numpy as np

from elman.arrays import Array
from elman.layers import RNN, TimeRNN


def step_gradients(layer: TimeRNN, xs: Array, dhs: Array) -> dict[str, list[Array]]:
    """Return the gradients at each of T steps of a TimeRNN: from ``above``, ``arriving`` (with what flows back),
    of the ``inputs``, and ``flowing`` to the step before.
    """
    cells = [RNN(*layer.params) for _ in range(xs.shape[1])]
    h = np.zeros((xs.shape[0], len(layer.Wh)))
    for t, cell in enumerate(cells):
        h = cell.forward(xs[:, t], h)
    found: dict[str, list[Array]] = {"above": [], "arriving": [], "inputs": [], "flowing": []}
    flowing = np.zeros_like(h)
    for t in reversed(range(len(cells))):
        arriving = dhs[:, t] + flowing
        dx, flowing = cells[t].backward(arriving)
        for name, value in zip(found, (dhs[:, t], arriving, dx, flowing), strict=True):
            found[name].insert(0, value)
    return found
