"""The blocks of Mamba in one table, with drawn weights and their slow forms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import oracle
from elman.models.parameters import CELLS


@dataclass(frozen=True)
class Block:
    """A cell, sizes of it, and the slow form: xs and the weights and states by name -> ys, and the last states."""

    cell: str
    sizes: dict[str, int]
    oracle: Callable[..., Any]

    def weights(
        self, D: int = 3, H: int = 8, last: bool = True, seed: int = 0, dtype: Any = np.float64
    ) -> dict[str, Any]:
        """Draw the planned weights by name, small enough that no unit saturates; gains are near 1."""
        rng = np.random.default_rng(seed)
        plan = CELLS[self.cell].plan(D, H, layers=1 if last else 2, sizes=self.sizes)
        return {
            name: (0.5 * rng.standard_normal(weight.shape) + name.endswith("gain")).astype(dtype)
            for name, weight in plan.items()
        }

    def layer(self, weights: dict[str, Any], stateful: bool = True) -> Any:
        return CELLS[self.cell](**weights, stateful=stateful)

    def draw_states(self, layer: Any, N: int, seed: int = 5) -> dict[str, Any]:
        """States as they could come in."""
        rng = np.random.default_rng(seed)
        return {name: rng.standard_normal((N, width)) for name, width in layer.state_widths.items()}


BLOCKS = {
    "mamba": Block("mamba", {"state": 3, "rank": 2}, oracle.mamba),
    "mamba, one number of state": Block("mamba", {"state": 1, "kernel": 2}, oracle.mamba),
    "mamba2": Block("mamba2", {"head": 4, "state": 3}, oracle.mamba2),
    "mamba2, groups": Block("mamba2", {"head": 2, "state": 3, "groups": 2}, oracle.mamba2),
    "mamba2, long kernel": Block("mamba2", {"head": 8, "state": 2, "kernel": 6}, oracle.mamba2),
}
