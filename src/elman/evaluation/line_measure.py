"""The logarithm of a line's probability in the unit asked for, whole or per token or character."""

import math
from dataclasses import dataclass
from typing import Literal

from elman.evaluation.scoring import LineScore

Unit = Literal["nats", "bits", "log10"]
Per = Literal["none", "token", "char"]
NATS = {"nats": 1.0, "bits": math.log(2), "log10": math.log(10)}  # that one of each unit is
_NAMES = {"nats": "ln_prob", "bits": "log2_prob", "log10": "log10_prob"}


@dataclass(frozen=True)
class Measure:
    """log P of a line: natural ("nats"), of base 2 ("bits") or 10, whole ("none") or a mean per token or character."""

    unit: Unit = "nats"
    per: Per = "none"

    @property
    def name(self) -> str:
        """What the number is, for the head of a column: ``log2_prob_per_char``."""
        return _NAMES[self.unit] + ("" if self.per == "none" else f"_per_{self.per}")

    def of(self, score: LineScore, characters: int) -> float:
        """Return the measure of a line of so many characters, its scored end counted; nan where there are none."""
        count = {"none": 1, "token": score.tokens, "char": characters}[self.per]
        return 0.0 - score.nll_nats / NATS[self.unit] / count if count else math.nan
