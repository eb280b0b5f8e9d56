"""The measure by which lines are compared, and those with the lowest: `LeastProbableLines`."""

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from elman.evaluation.line_scores import LineScore

Unit = Literal["nats", "bits", "log10"]
Per = Literal["none", "token", "char"]
NATS = {"nats": 1.0, "bits": math.log(2), "log10": math.log(10)}  # nats per unit
_NAMES = {"nats": "ln_prob", "bits": "log2_prob", "log10": "log10_prob"}


@dataclass(frozen=True)
class Measure:
    """log P of a line: natural ("nats"), base 2 ("bits") or base 10, in total ("none") or per token or character."""

    unit: Unit = "nats"
    per: Per = "none"

    @property
    def name(self) -> str:
        """The name of the measure, for column headings: ``log2_prob_per_char``."""
        return _NAMES[self.unit] + ("" if self.per == "none" else f"_per_{self.per}")

    def of(self, score: LineScore, characters: int) -> float:
        """Return the measure of a line with this many characters, including its scored end; nan if there are none."""
        count = {"none": 1, "token": score.tokens, "char": characters}[self.per]
        return 0.0 - score.nll_nats / NATS[self.unit] / count if count else math.nan


@dataclass(frozen=True)
class ScoredLine(LineScore):
    """A line of a text, its number from 1, and its score; ``characters`` counts its end, if the end is scored.

    ``kept`` are the other columns of its row, where it comes from a table.
    """

    line: int
    characters: int
    text: str
    kept: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class _Entry:
    measure: float
    line: ScoredLine

    def __lt__(self, other: "_Entry") -> bool:
        """Return whether this line is dropped before the other: it is more probable, or equally probable and later."""
        return (self.measure, self.line.line) > (other.measure, other.line.line)


class LeastProbableLines:
    """Keeps the ``most`` lines with the lowest measure; of lines with equal measures the earlier ones."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[_Entry] = []  # the most probable of the kept lines is first

    def add(self, measure: float, line: ScoredLine) -> None:
        """Add a line with its measure; one whose measure is nan is ignored."""
        if math.isnan(measure):
            return
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, _Entry(measure, line))
        else:
            heapq.heappushpop(self._heap, _Entry(measure, line))

    def in_order(self) -> list[ScoredLine]:
        """Return the kept lines, the one with the lowest measure first."""
        return [entry.line for entry in sorted(self._heap, reverse=True)]
