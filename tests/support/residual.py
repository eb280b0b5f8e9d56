"""Residual blocks around several cells, with drawn weights, and their slow forms."""

from collections.abc import Callable
from typing import Any

import numpy as np

import oracle
from elman.layers import TimeResidualBlock
from elman.layers.residual import OF_CELL
from elman.models.parameters import CELLS, recurrent_layer
from support import cells

ORACLES: dict[str, Callable[..., Any]] = {  # xs and the cell's weights by name -> hs
    "rnn": oracle.rnn,
    "lstm": lambda xs, **weights: oracle.lstm(xs, **weights)[0],
    "gru": oracle.gru,
    **{name: cell.oracle for name, cell in cells.CELLS.items()},
}


def drawn(
    cell: str, D: int = 3, H: int = 4, mlp: int = 0, last: bool = True, seed: int = 0, dtype: Any = np.float64
) -> dict[str, Any]:
    """The planned weights of a block by name, small enough that no unit saturates; gains are near 1."""
    rng = np.random.default_rng(seed)
    plan = TimeResidualBlock.plan(CELLS[cell], D, H, mlp=mlp, last=last)
    return {
        name: (0.5 * rng.standard_normal(weight.shape) + name.endswith("gain")).astype(dtype)
        for name, weight in plan.items()
    }


def block_of(cell: str, weights: dict[str, Any], stateful: bool = True) -> TimeResidualBlock:
    """The block with these weights."""
    block = recurrent_layer(cell, {f"0.{name}": weight for name, weight in weights.items()}, 0, "residual")
    assert isinstance(block, TimeResidualBlock)
    block.stateful = block.cell.stateful = stateful
    return block


def slow_block(cell: str, xs: Any, weights: dict[str, Any]) -> Any:
    """The output of the block for xs (N, T, D), from zero states, by the slow form."""
    of_cell = {
        name.removeprefix(OF_CELL): weight for name, weight in weights.items() if name.startswith(OF_CELL)
    }
    mlp = tuple(weights[name] for name in ("mlp_gain", "W1", "W2", "W3")) if "W1" in weights else None
    return oracle.residual_block(
        xs,
        lambda ns: ORACLES[cell](ns, **of_cell),
        weights["gain"],
        weights["Wg"],
        weights["Wo"],
        mlp,
        weights.get("last_gain"),
    )
