"""Where a training stands, and what it tells whoever watches it."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Progress:
    """Everything about a training in progress that is neither weights nor data: plain numbers, saved as JSON."""

    epoch: int = 0  # epochs finished
    iteration: int = 0  # blocks trained on
    block_in_epoch: int = 0
    position: int = 0  # steps read by every lane
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
