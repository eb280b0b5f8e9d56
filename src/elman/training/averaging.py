"""Averaged weights: the mean of the weights over many updates is often better than the last weights.

Training always continues with the raw weights. Validation and the best model use the mean once averaging has begun.

Source: B. Polyak and A. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal on Control
and Optimization 30, 1992.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from elman.arrays import Array, in_double
from elman.errors import ConfigError
from elman.training.config import Config


class Averaging:
    """No averaging, and the base class of the kinds of averaging, which set ``begun`` when they begin.

    ``count`` is the number of updates averaged so far; ``totals`` are the sums of the weights after each, in float64.
    """

    def __init__(self) -> None:
        self.begun = False
        self.count = 0
        self.totals: list[Array] = []

    def progress(self, done: float) -> None:
        """Receive, before an update, the fraction ``done`` in [0, 1] of training that is over."""

    def epoch_end(self, perplexity: float) -> None:
        """Receive a whole epoch's validation perplexity (training perplexity if there is no validation)."""

    def update(self, params: Sequence[Array]) -> None:
        """Add the weights after an update to the average, if averaging has begun."""
        if not self.begun:
            return
        self.count += 1
        if not self.totals:
            self.totals = [in_double(p, like=p) for p in params]
            return
        for total, p in zip(self.totals, params, strict=True):
            total += p

    @contextlib.contextmanager
    def applied(self, params: Sequence[Array]) -> Iterator[None]:
        """Within the block, set the parameters to the average, if there is one; restore the raw ones after it."""
        if not self.count:
            yield
            return
        raw = [p + 0 for p in params]  # copies
        try:
            for p, total in zip(params, self.totals, strict=True):
                p[...] = total / self.count
            yield
        finally:
            for p, r in zip(params, raw, strict=True):
                p[...] = r

    def state(self) -> dict[str, Any]:
        """Return what a resumed training needs besides ``totals``, as plain data for JSON; here nothing."""
        return {}

    def _begun(self) -> dict[str, Any]:
        return {"begun": self.begun, "count": self.count}

    def restore(self, state: dict[str, Any], totals: list[Array]) -> None:
        """Continue from ``state`` and ``totals``."""
        self.begun, self.count, self.totals = state["begun"], state["count"], totals


class Triggered(Averaging):
    """Begin after the first epoch that is worse than the best one more than ``patience`` epochs earlier.

    Source: S. Merity, N. Keskar and R. Socher, "Regularizing and optimizing LSTM language models", ICLR 2018,
    algorithm 1 (NT-ASGD).
    """

    def __init__(self, patience: int = 5) -> None:
        super().__init__()
        self.patience = patience
        self._perplexities: list[float] = []

    def epoch_end(self, perplexity: float) -> None:
        """Begin if the epoch is worse than the best of the epochs that are long enough ago."""
        earlier = self._perplexities[: -self.patience]
        self.begun = self.begun or (bool(earlier) and perplexity > min(earlier))
        self._perplexities.append(perplexity)

    def state(self) -> dict[str, Any]:
        """Return whether it has begun, the count and the epochs' perplexities."""
        return {**self._begun(), "perplexities": self._perplexities}

    def restore(self, state: dict[str, Any], totals: list[Array]) -> None:
        """Continue from ``state`` and ``totals``."""
        super().restore(state, totals)
        self._perplexities = list(state["perplexities"])


class Tail(Averaging):
    """Average over the last fraction of training. If training is extended, averaging starts again later."""

    def __init__(self, fraction: float = 0.25) -> None:
        super().__init__()
        self.fraction = fraction

    def progress(self, done: float) -> None:
        """Begin when no more than the fraction is left."""
        self.begun = done >= 1 - self.fraction
        if not self.begun:
            self.count, self.totals = 0, []

    def state(self) -> dict[str, Any]:
        """Return whether it has begun, and the count."""
        return self._begun()


def averaging_of(config: Config) -> Averaging:
    """Return the averaging that a run's options choose.

    Raises:
        ConfigError: an option for another kind of averaging is given.
    """
    for name, kind in (("averaging_patience", "triggered"), ("averaging_share", "tail")):
        value = getattr(config, name)
        if config.averaging != kind and value != getattr(Config(), name):
            raise ConfigError(
                f"`{name}={value!r}` applies only to `averaging={kind!r}`, but averaging is {config.averaging!r}; "
                "leave it out"
            )
    if config.averaging == "triggered":
        return Triggered(config.averaging_patience)
    return Tail(config.averaging_share) if config.averaging == "tail" else Averaging()
