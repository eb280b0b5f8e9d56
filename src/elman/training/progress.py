"""The progress of a training run, the events that it reports, and when it overfits or draws a sample.

`OverfittingWatch` notices that the validation perplexity rises while that of the training text falls. `SampleTimer`
decides when a sample of generated text is due: often enough to be watched, seldom enough to cost next to nothing.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar


@dataclass
class Progress:
    """The counters and averages of a training in progress: plain numbers, saved as JSON."""

    epoch: int = 0  # finished epochs
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
        """Return plain data; infinity, which JSON does not have, becomes None."""
        data = asdict(self)
        data["best_perplexity"] = None if math.isinf(self.best_perplexity) else self.best_perplexity
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Progress":
        """Return the progress that `to_json` described."""
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
    """``eval_interval`` blocks have been trained on since the last such event."""

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
    perplexity: float  # of the training text, over the epoch, while the weights changed
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
    """A text sampled from the current model."""

    iteration: int
    smooth_loss: float
    text: str


Event = BlockDone | IntervalDone | EpochDone | Overfitting | SampleDrawn


MIN_RISES = 2  # epochs in a row
MARGIN = 1.01  # times the best perplexity: less may be chance


class OverfittingWatch:
    """Detects overfitting, epoch by epoch; ``found`` is that since the best epoch, None if there is none."""

    def __init__(self) -> None:
        self.found: Overfitting | None = None
        self._best: EpochDone | None = None
        self._last: EpochDone | None = None
        self._rises = 0

    def epoch(self, event: EpochDone) -> Overfitting | None:
        """Take note of an epoch; return the overfitting that it reveals, once for every best epoch, else None.

        A validation perplexity that has risen in at least the last two epochs, to at least 1 % above the best,
        is overfitting if the training perplexity fell meanwhile.
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
        started = self._rises >= MIN_RISES and valid >= MARGIN * best.valid_perplexity
        if self.found is None and not (started and event.perplexity < best.perplexity):
            return None
        first = self.found is None
        self.found = Overfitting(
            best.epoch, event.epoch, best.perplexity, event.perplexity, best.valid_perplexity, valid
        )
        return self.found if first else None


FIRST = 1.0  # seconds of training before the first sample
MIN_PAUSE = 5.0  # seconds between two samples
PAUSE_PER_SAMPLE = 100  # the pause is at least so many times the time of a sample: samples take at most 1 %


class SampleTimer:
    """Decides when a sample is due: every ``every`` blocks or, if that is 0, by the ``clock`` (seconds)."""

    def __init__(self, every: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.every, self._clock = every, clock
        self.drawn_at = -1  # the iteration of the last sample; -1: none yet
        self._due_at = math.inf
        self._began = 0.0

    def start(self) -> None:
        """Start to measure the time."""
        self._due_at = self._clock() + FIRST

    def due(self, iteration: int) -> bool:
        """Return whether a sample is due after this iteration."""
        if iteration == self.drawn_at:
            return False
        return iteration % self.every == 0 if self.every else self._clock() >= self._due_at

    def due_at_end(self, iteration: int, finished: bool) -> bool:
        """Return whether a run that ends here needs a last sample: it has none or, by the clock, none of its end."""
        return self.drawn_at < 0 or (finished and not self.every and self.drawn_at != iteration)

    def drawing(self) -> None:
        """Note that the drawing of a sample starts."""
        self._began = self._clock()

    def drawn(self, iteration: int) -> None:
        """Note that the sample of this iteration is drawn."""
        now = self._clock()
        self.drawn_at = iteration
        self._due_at = now + max(MIN_PAUSE, PAUSE_PER_SAMPLE * (now - self._began))


Recorded = TypeVar("Recorded", IntervalDone, EpochDone, SampleDrawn)
KINDS: dict[type[Any], str] = {IntervalDone: "interval", EpochDone: "epoch", SampleDrawn: "sample"}


def events_in(lines: Iterable[Mapping[str, Any]], event: type[Recorded]) -> list[Recorded]:
    """Return the events of one type among the lines of a run's metrics."""
    names = {each.name for each in fields(event)}
    chosen = [line for line in lines if line["kind"] == KINDS[event] and names <= line.keys()]
    return [event(**{name: line[name] for name in names}) for line in chosen]
