"""Stacks of the cells that are whole blocks, so that tests of all of them are written once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import oracle
from elman.arrays import Array
from elman.layers.rwkv4 import TimeRWKV4
from elman.layers.rwkv7 import TimeRWKV7


@dataclass(frozen=True)
class BlockCell:
    """One cell: its layer, the slow form of a stack of it, small sizes with two heads, and its states."""

    Time: Any
    oracle: Callable[..., Any]
    sizes: dict[str, int]
    states: tuple[str, ...]
    inside: tuple[str, ...]

    def weights(
        self, rng: np.random.Generator, D: int, layers: int, dtype: Any = np.float64
    ) -> list[dict[str, Any]]:
        """Draw the planned weights of every block, around where they begin; decays in the middle of their range."""
        found = []
        for k in range(layers):
            plan = self.Time.plan(D, D, layers, k, self.sizes)
            drawn = {name: 0.4 * rng.standard_normal(weight.shape) for name, weight in plan.items()}
            starts = {name: weight.start for name, weight in plan.items() if name != "w0"}
            found.append({name: (starts.get(name, 0) + drawn[name]).astype(dtype) for name in plan})
        return found


BLOCKS = {
    "rwkv4": BlockCell(
        TimeRWKV4,
        oracle.rwkv4,
        {"ffn": 5},
        ("h", "x_att", "x_ffn", "numerator", "denominator", "exponent"),
        ("h", "r", "k", "v", "y"),
    ),
    "rwkv7": BlockCell(
        TimeRWKV7,
        oracle.rwkv7,
        {"head": 4, "ffn": 5, "rank_w": 3, "rank_a": 2, "rank_v": 3, "rank_g": 2},
        ("h", "x_att", "x_ffn", "S"),
        ("h", "r", "w", "k", "v", "a", "g"),
    ),
}


class Stack:
    """Connected blocks as one layer, so that a gradient check reaches what one block gives to another."""

    def __init__(self, blocks: list[Any]) -> None:
        self.layers = blocks
        for block in blocks[1:]:
            block.connect(blocks[0])
        self.params = [param for block in blocks for param in block.params]
        self.grads = [grad for block in blocks for grad in block.grads]

    @classmethod
    def of(cls, cell: BlockCell, weights: list[dict[str, Any]], stateful: bool = True) -> "Stack":
        return cls([cell.Time(stateful=stateful, **each) for each in weights])

    def forward(self, xs: Array) -> Array:
        for block in self.layers:
            xs = block.forward(xs)
        return xs

    def backward(self, dhs: Array) -> Array:
        for block in reversed(self.layers):
            dhs = block.backward(dhs)
        return dhs
