"""The state of a dynamically evaluated model, as a value: where each lane stands, and its adapted weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.arrays import Array, to_numpy
from elman.models.base import Ids


@dataclass(frozen=True, eq=False)
class LaneState:
    """One lane: its ``weights``, the model's state ``before`` the first of ``tokens``, and the one ``now``.

    The tokens are the last one of the block before, which the first of this block is predicted from, and those
    of this block so far. ``now`` follows from the others; no array is ever changed.
    """

    weights: tuple[Array, ...]
    before: Any
    tokens: tuple[int, ...]
    now: Any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LaneState):
            return NotImplemented
        return bool(
            self.tokens == other.tokens
            and self.before == other.before
            and all(
                mine is theirs or np.array_equal(to_numpy(mine), to_numpy(theirs))
                for mine, theirs in zip(self.weights, other.weights, strict=True)
            )
        )

    def __hash__(self) -> int:
        return hash((self.tokens, self.before))


@dataclass(frozen=True)
class DynamicState:
    """The `LaneState` of N lanes, each with weights of its own."""

    of_lanes: tuple[LaneState, ...]

    @property
    def lanes(self) -> int:
        """The number N of lanes."""
        return len(self.of_lanes)

    @property
    def h(self) -> tuple[Array, ...]:
        """The hidden state (N, H) of every layer of a recurrent model, as the adapted weights produced it."""
        first, *others = (lane.now for lane in self.of_lanes)
        h: tuple[Array, ...] = first.join(*others).h
        return h

    def select(self, lanes: Sequence[int] | Ids) -> "DynamicState":
        """Return the state of these lanes, in this order; a lane may be repeated or left out."""
        return DynamicState(tuple(self.of_lanes[lane] for lane in lanes))

    def join(self, *others: "DynamicState") -> "DynamicState":
        """Return one state with this state's lanes followed by those of the others."""
        return DynamicState(tuple(lane for state in (self, *others) for lane in state.of_lanes))
