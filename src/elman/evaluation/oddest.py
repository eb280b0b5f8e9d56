"""The few least probable of many lines."""

import heapq
import math
from dataclasses import dataclass
from typing import NamedTuple

from elman.evaluation.scoring import LineScore


class Found(NamedTuple):
    """A line of a text: its number from 1, its measure of probability, its score."""

    number: int
    measure: float
    score: LineScore
    line: str


@dataclass(frozen=True)
class _Entry:
    found: Found

    def __lt__(self, other: "_Entry") -> bool:
        """Tell whether this line goes before the other when one must: it is more probable, or as odd and later."""
        ours, theirs = self.found, other.found
        return (ours.measure, ours.number) > (theirs.measure, theirs.number)


class Oddest:
    """Keeps the ``most`` lines of the lowest measure, of however many; of equally odd ones the first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[_Entry] = []  # the least odd of those kept is first

    def add(self, found: Found) -> None:
        """Offer one more line; one whose measure is not a number is none to compare."""
        if math.isnan(found.measure):
            return
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, _Entry(found))
        else:
            heapq.heappushpop(self._heap, _Entry(found))

    def in_order(self) -> list[Found]:
        """Return the lines kept, the oddest first."""
        return sorted((entry.found for entry in self._heap), key=lambda found: (found.measure, found.number))
