"""The recurrent layers in one table, so that tests of all of them are written once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import oracle
from elman.layers import GRU, LSTM, RNN, TimeGRU, TimeLSTM, TimeRNN


@dataclass(frozen=True)
class Kind:
    """One recurrent layer, its one-step cell, and the oracle's form of both."""

    Cell: Any
    Time: Any
    Step: Any
    gates: int
    states: tuple[str, ...]
    forward: Callable[..., Any]
    has_b_h: bool = False

    def weights(self, rng: np.random.Generator, D: int = 3, H: int = 4, dtype: Any = np.float64) -> list[Any]:
        """Draw Wx (D, G), Wh (H, G), b (G,) and b_h (H,), small enough that no unit saturates."""
        G = self.gates * H
        shapes = [(D, G), (H, G), (G,)] + [(H,)] * self.has_b_h
        return [(0.5 * rng.standard_normal(shape)).astype(dtype) for shape in shapes]

    def draw_states(self, rng: np.random.Generator, N: int, H: int) -> list[Any]:
        return [0.5 * rng.standard_normal((N, H)) for _ in self.states]

    def zero_states(self, N: int, H: int) -> list[Any]:
        return [np.zeros((N, H)) for _ in self.states]

    def carried(self, layer: Any, prefix: str = "") -> list[Any]:
        """Return layer.h (and .c), or with prefix "d" their gradients."""
        return [getattr(layer, prefix + name) for name in self.states]


def _rnn(xs: Any, weights: list[Any], h: Any) -> tuple[Any, list[Any]]:
    hs = oracle.rnn(xs, *weights, h0=h)
    return hs, [hs[:, -1]]


def _lstm(xs: Any, weights: list[Any], h: Any, c: Any) -> tuple[Any, list[Any]]:
    hs, cs = oracle.lstm(xs, *weights, h0=h, c0=c)
    return hs, [hs[:, -1], cs[:, -1]]


def _gru(xs: Any, weights: list[Any], h: Any) -> tuple[Any, list[Any]]:
    hs = oracle.gru(xs, *weights, h0=h)
    return hs, [hs[:, -1]]


KINDS = {
    "rnn": Kind(RNN, TimeRNN, oracle.RnnStep, 1, ("h",), _rnn),
    "lstm": Kind(LSTM, TimeLSTM, oracle.LstmStep, 4, ("h", "c"), _lstm),
    "gru": Kind(GRU, TimeGRU, oracle.GruStep, 3, ("h",), _gru),
    "gru with b_h": Kind(GRU, TimeGRU, oracle.GruStep, 3, ("h",), _gru, has_b_h=True),
}
