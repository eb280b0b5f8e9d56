"""What a run has reached: its epochs, and the best of them."""

from dataclasses import dataclass

from elman.results import Table
from elman.training.progress import EpochDone, IntervalDone


@dataclass(frozen=True)
class Best:
    """The best perplexity of a run: that of its model file."""

    perplexity: float
    unit: str  # what it is per: "word", "character", "jamo", "byte" or "subword"
    text: str  # what it was measured on: the "validation" or the "training" text
    epoch: int | None  # None for n-grams, which are counted once


class History(Table[EpochDone]):
    """The epochs of a run, one per row; ``intervals`` are the points of the training curve within them."""

    def __init__(self, epochs: list[EpochDone], intervals: list[IntervalDone], unit: str) -> None:
        super().__init__(epochs)
        self.intervals = Table(intervals)
        self.unit = unit

    def notes(self) -> str:
        """Return what the perplexities are."""
        return (
            ""
            if not self
            else (
                f"perplexities per {self.unit}: of the training text, while the weights changed, and of the "
                "validation text; seconds of training"
            )
        )
