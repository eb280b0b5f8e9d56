"""Learning-rate schedules: a factor on the optimizer's learning rate."""

import math
from typing import Any, Protocol

from elman.errors import ConfigError


class Schedule(Protocol):
    """How the learning rate changes while training goes on."""

    def factor(self, progress: float) -> float:
        """Return the factor on the base rate when the share ``progress`` in [0, 1] of training is done."""
        ...

    def epoch_end(self, perplexity: float) -> None:
        """Take note of an epoch's validation (else training) perplexity."""
        ...

    def state(self) -> dict[str, float | None]:
        """Return what a resumed training needs to know, as plain data that JSON can hold."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        ...


class Constant:
    """The learning rate stays as it is."""

    def factor(self, progress: float) -> float:
        """Return 1."""
        return 1.0

    def epoch_end(self, perplexity: float) -> None:
        """Nothing depends on it."""

    def state(self) -> dict[str, float | None]:
        """Return nothing: there is no state."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


class Plateau(Constant):
    """Divide the learning rate by ``divisor`` after an epoch that did not improve the perplexity."""

    def __init__(self, divisor: float = 4.0) -> None:
        if divisor <= 1:
            raise ConfigError(f"the plateau divisor must exceed 1, got {divisor}")
        self.divisor = divisor
        self._factor = 1.0
        self._best = math.inf

    def factor(self, progress: float) -> float:
        """Return 1/divisor for every epoch without improvement so far, multiplied."""
        return self._factor

    def epoch_end(self, perplexity: float) -> None:
        """Divide unless this is the best perplexity yet."""
        if perplexity < self._best:
            self._best = perplexity
        else:
            self._factor /= self.divisor

    def state(self) -> dict[str, float | None]:
        """Return the factor and the best perplexity, None where there is none yet."""
        return {"factor": self._factor, "best": self._best if math.isfinite(self._best) else None}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with this factor and best perplexity."""
        best = state["best"]
        self._factor, self._best = state["factor"], math.inf if best is None else best


class Cosine(Constant):
    """Half a cosine from 1 down to ``floor``, after a linear warm-up over the share ``warmup``.

    Source: I. Loshchilov and F. Hutter, "SGDR", ICLR 2017 (one cycle).
    """

    def __init__(self, floor: float = 0.01, warmup: float = 0.0) -> None:
        if not 0 <= floor <= 1 or not 0 <= warmup < 1:
            raise ConfigError(
                f"cosine: floor must be in [0, 1] and warmup in [0, 1), got {floor} and {warmup}"
            )
        self.floor, self.warmup = floor, warmup

    def factor(self, progress: float) -> float:
        """Return the factor after the share ``progress`` of training."""
        progress = min(1.0, progress)
        if progress < self.warmup:
            return max(progress / self.warmup, 0.01)
        done = (progress - self.warmup) / (1 - self.warmup)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))


SCHEDULES = {"constant": Constant, "plateau": Plateau, "cosine": Cosine}
