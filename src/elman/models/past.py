"""The last few ids of each lane: all that a model with a fixed window remembers, as a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.models.base import Ids

BEFORE_TEXT = -1


@dataclass(frozen=True)
class Past:
    """The last k ids of each lane, the oldest first, -1 where the text had not begun.

    Of an n-gram model of sentences they reach back to the sentence's beginning ``<s>``, whose id is V; before it is -1.
    """

    past: tuple[tuple[int, ...], ...]

    @property
    def lanes(self) -> int:
        """The number N of lanes."""
        return len(self.past)

    def select(self, lanes: Sequence[int] | Ids) -> "Past":
        """Return the state of these lanes, in this order."""
        return Past(tuple(self.past[lane] for lane in lanes))

    def join(self, *others: "Past") -> "Past":
        """Return the lanes of this state followed by those of the others."""
        return Past(sum((other.past for other in others), self.past))

    @classmethod
    def of(cls, ids: NDArray[np.int64]) -> "Past":
        """Return the state whose last ids are these, (N, k)."""
        return cls(tuple(map(tuple, ids.tolist())))

    def array(self, length: int) -> NDArray[np.int64]:
        """Return the ids as an array (N, k); ``length`` is k, which no lanes or no ids would not tell."""
        return np.array(self.past, np.int64).reshape(self.lanes, length)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays: the input of `from_arrays`."""
        return {"ids": np.array(self.past, np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Past":
        """Return the state that `to_arrays` described."""
        return cls.of(arrays["ids"])
