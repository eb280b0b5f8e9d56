"""What a training run reports: where it is, when it overfits, when it writes a sample.

Where a training stands, and what it tells whoever watches it.

Overfitting as a training goes on: the validation perplexity rises while that of the training text falls.

When a training run writes a sample of its own: often enough to be watched, seldom enough to cost next to nothing.
"""

import math
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from elman.formats.metrics_log import read_metrics


@dataclass
class Progress:
    """Everything about a training in progress that is neither weights nor data: plain numbers, saved as JSON."""

    epoch: int = 0  # epochs finished
    iteration: int = 0  # blocks trained on
    block_in_epoch: int = 0
    position: int = 0  # steps read by every sequence
    epoch_nll: float = 0.0  # sum over this epoch's blocks of the mean loss in nats
    interval_nll: float = 0.0
    interval_blocks: int = 0
    interval_norm: float = 0.0  # sum over the interval's blocks of the gradient's norm
    smooth_loss: float | None = None  # 0.999·smooth + 0.001·loss, from T·ln V; summed over a block's steps
    recent_nll: float | None = None  # moving average over about ten blocks
    best_perplexity: float = math.inf
    epochs_without_gain: int = 0
    seconds: float = 0.0
    ppl_list: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain data; infinity becomes None, which JSON can hold."""
        data = asdict(self)
        data["best_perplexity"] = None if math.isinf(self.best_perplexity) else self.best_perplexity
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Progress":
        """Return what `to_json` was given."""
        best = data["best_perplexity"]
        return cls(**{**data, "best_perplexity": math.inf if best is None else best})


@dataclass(frozen=True)
class BlockDone:
    """One block has been trained on."""

    iteration: int
    epoch: int
    loss_nats: float  # mean over the block's tokens
    smooth_loss: float
    grad_norm: float  # before clipping
    lr: float
    tokens: int
    seconds: float  # of training so far


@dataclass(frozen=True)
class IntervalDone:
    """``eval_interval`` blocks have been trained on since the last of these."""

    iteration: int
    epoch: int
    perplexity: float  # of the training text, over the interval
    smooth_loss: float
    grad_norm: float  # before clipping, the mean over the interval's blocks
    lr: float
    seconds: float


@dataclass(frozen=True)
class EpochDone:
    """An epoch is over (or the last, unfinished one, where a limit ended it)."""

    epoch: int
    iteration: int
    perplexity: float  # of the training text, over the epoch, while it was learnt
    valid_perplexity: float | None
    improved: bool
    lr: float
    seconds: float


@dataclass(frozen=True)
class Overfitting:
    """The validation perplexity has risen since its best epoch, while that of the training text fell."""

    best_epoch: int
    epoch: int
    best_training_perplexity: float  # at the best epoch
    training_perplexity: float  # now
    best_valid_perplexity: float
    valid_perplexity: float


@dataclass(frozen=True)
class SampleDrawn:
    """A text drawn from the model as it stands."""

    iteration: int
    smooth_loss: float
    text: str


Event = BlockDone | IntervalDone | EpochDone | Overfitting | SampleDrawn


RISES = 2  # epochs in a row
MARGIN = 1.01  # times the best perplexity: less may be chance


class OverfittingWatch:
    """Is told of every epoch; ``found`` is what it has seen since the best one, None where all is well."""

    def __init__(self) -> None:
        self.found: Overfitting | None = None
        self._best: EpochDone | None = None
        self._last: EpochDone | None = None
        self._rises = 0

    def epoch(self, event: EpochDone) -> Overfitting | None:
        """Return what is to be said after this epoch: once for every best one, else None.

        A validation perplexity that has risen in the last two epochs or more, to 1 % above the best or
        higher, is overfitting if the training perplexity fell meanwhile.
        """
        valid = event.valid_perplexity
        if valid is None:
            return None
        best, last, self._last = self._best, self._last, event
        if best is None or best.valid_perplexity is None or not valid >= best.valid_perplexity:
            self.found, self._best, self._rises = None, event, 0
            return None
        rose = last is not None and last.valid_perplexity is not None and valid > last.valid_perplexity
        fell = last is not None and event.perplexity < last.perplexity
        self._rises = self._rises + 1 if rose and fell else 0
        started = self._rises >= RISES and valid >= MARGIN * best.valid_perplexity
        if self.found is None and not (started and event.perplexity < best.perplexity):
            return None
        first = self.found is None
        self.found = Overfitting(
            best.epoch, event.epoch, best.perplexity, event.perplexity, best.valid_perplexity, valid
        )
        return self.found if first else None


FIRST = 1.0  # seconds of training before the first sample
BETWEEN = 5.0  # seconds, at least, from one to the next
COST = 100  # times what a sample took, at least, from one to the next: 1 % of the time


class SampleTimer:
    """Tells whether a sample is due: every ``every`` blocks, or, where that is 0, by the clock."""

    def __init__(self, every: int = 0) -> None:
        self.every = every
        self.drawn_at = -1  # the iteration of the last sample; -1: there is none
        self._due_at = math.inf
        self._began = 0.0

    def start(self) -> None:
        """Begin to count the time."""
        self._due_at = time.monotonic() + FIRST

    def due(self, iteration: int) -> bool:
        """Return whether a sample is due after so many blocks."""
        if iteration == self.drawn_at:
            return False
        return iteration % self.every == 0 if self.every else time.monotonic() >= self._due_at

    def wanting(self, iteration: int, finished: bool) -> bool:
        """Return whether a run that ends here lacks a sample: it has none, or, by the clock, none of what it became."""
        return self.drawn_at < 0 or (finished and not self.every and self.drawn_at != iteration)

    def drawing(self) -> None:
        """Note that a sample is begun."""
        self._began = time.monotonic()

    def drawn(self, iteration: int) -> None:
        """Note that a sample is done."""
        now = time.monotonic()
        self.drawn_at = iteration
        self._due_at = now + max(BETWEEN, COST * (now - self._began))


def epochs_of(folder: Path) -> list[EpochDone]:
    """Return the epochs that a run's metrics tell of; none where there are no metrics. Raises RunError as above."""
    if not (folder / "metrics.jsonl").is_file():
        return []
    names = {each.name for each in fields(EpochDone)}
    lines = [line for line in read_metrics(folder) if line["kind"] == "epoch" and names <= line.keys()]
    return [EpochDone(**{name: line[name] for name in names}) for line in lines]
