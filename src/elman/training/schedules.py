"""Learning-rate schedules: how a factor on the optimizer's learning rate changes during training."""

import math
from typing import Any, Protocol

from elman.errors import ConfigError


class Schedule(Protocol):
    """A learning-rate schedule."""

    def factor(self, progress: float) -> float:
        """Return the factor on the base rate when the fraction ``progress`` in [0, 1] of training is done."""
        ...

    def epoch_end(self, perplexity: float) -> None:
        """Receive an epoch's validation perplexity (training perplexity if there is no validation)."""
        ...

    def state(self) -> dict[str, float | None]:
        """Return what a resumed training needs, as plain data for JSON."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        ...


class Constant:
    """A constant learning rate."""

    def factor(self, progress: float) -> float:
        """Return 1."""
        return 1.0

    def epoch_end(self, perplexity: float) -> None:
        """Do nothing: the perplexity does not matter."""

    def state(self) -> dict[str, float | None]:
        """Return an empty state."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""


class Plateau(Constant):
    """Divide the learning rate by ``divisor`` after an epoch that did not improve the perplexity."""

    def __init__(self, divisor: float = 4.0) -> None:
        if divisor <= 1:
            raise ConfigError(f"the plateau divisor must be > 1, got {divisor}")
        self.divisor = divisor
        self._factor = 1.0
        self._best = math.inf

    def factor(self, progress: float) -> float:
        """Return (1/divisor)ⁿ after n epochs without improvement."""
        return self._factor

    def epoch_end(self, perplexity: float) -> None:
        """Divide the factor unless this is the best perplexity so far."""
        if perplexity < self._best:
            self._best = perplexity
        else:
            self._factor /= self.divisor

    def state(self) -> dict[str, float | None]:
        """Return the factor and the best perplexity (None if there is none yet)."""
        return {"factor": self._factor, "best": self._best if math.isfinite(self._best) else None}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue with this factor and best perplexity."""
        best = state["best"]
        self._factor, self._best = state["factor"], math.inf if best is None else best


class Cosine(Constant):
    """Half a cosine from 1 down to ``floor``, after a linear warm-up over the fraction ``warmup`` of training.

    Source: I. Loshchilov and F. Hutter, "SGDR", ICLR 2017 (one cycle).
    """

    def __init__(self, floor: float = 0.01, warmup: float = 0.0) -> None:
        if not 0 <= floor <= 1 or not 0 <= warmup < 1:
            raise ConfigError(
                f"cosine: floor must be in [0, 1] and warmup in [0, 1), got {floor} and {warmup}"
            )
        self.floor, self.warmup = floor, warmup

    def factor(self, progress: float) -> float:
        """Return the factor after the fraction ``progress`` of training."""
        progress = min(1.0, progress)
        if progress < self.warmup:
            return max(progress / self.warmup, 0.01)
        done = (progress - self.warmup) / (1 - self.warmup)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))


SCHEDULES = {"constant": Constant, "plateau": Plateau, "cosine": Cosine}
