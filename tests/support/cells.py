"""The cells besides RNN, LSTM and GRU in one table, so that tests of all of them are written once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import oracle
from elman.layers import (
    TimeFPool,
    TimeMinGRU,
    TimeMinLSTM,
    TimeMogrifierLSTM,
    TimeQRNN,
    TimeRGLRU,
    TimeSRU,
)


@dataclass(frozen=True)
class Cell:
    """One cell: its layer, its slow form, and the names of what is inside."""

    Time: Any
    oracle: Callable[..., Any]
    inside: tuple[str, ...]
    takes_one_hot: bool = True

    def weights(self, rng: np.random.Generator, D: int, H: int, dtype: Any = np.float64) -> dict[str, Any]:
        """Draw the planned weights, small enough that no unit saturates."""
        plan = self.Time.plan(D, H)
        return {
            name: (0.5 * rng.standard_normal(weight.shape)).astype(dtype) for name, weight in plan.items()
        }


CELLS = {
    "mingru": Cell(TimeMinGRU, oracle.mingru, ("h", "z", "n")),
    "minlstm": Cell(TimeMinLSTM, oracle.minlstm, ("h", "f", "i", "n")),
    "fpool": Cell(TimeFPool, oracle.fpool, ("h", "z", "n")),
    "qrnn": Cell(TimeQRNN, oracle.qrnn, ("h", "c", "z", "f", "o"), takes_one_hot=False),
    "sru": Cell(TimeSRU, oracle.sru, ("h", "c", "f", "r")),
    "rglru": Cell(TimeRGLRU, oracle.rglru, ("h", "r", "i")),
    "mogrifier": Cell(
        TimeMogrifierLSTM, oracle.mogrifier, ("h", "c", "i", "f", "g", "o"), takes_one_hot=False
    ),
}
