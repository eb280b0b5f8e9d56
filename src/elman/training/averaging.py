"""Averaged weights: the mean over many updates is often better than the last of them.

Training goes on with the raw weights; validation and the best model take the mean once averaging has begun.

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
    """No averaging; and what the kinds of averaging share: when they begin, ``begun`` is set.

    ``count`` updates have been averaged so far; ``totals`` are the sums of the weights after each, in float64.
    """

    def __init__(self) -> None:
        self.begun = False
        self.count = 0
        self.totals: list[Array] = []

    def progress(self, done: float) -> None:
        """Take note before an update that the share ``done`` in [0, 1] of training is behind it."""

    def epoch_end(self, perplexity: float) -> None:
        """Take note of a whole epoch's validation (else training) perplexity."""

    def update(self, params: Sequence[Array]) -> None:
        """Add the weights after an update to the average, where averaging has begun."""
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
        """Within the block the parameters are the average, if there is one; after it they are the raw ones again."""
        if not self.count:
            yield
            return
        raw = [p + 0 for p in params]
        try:
            for p, total in zip(params, self.totals, strict=True):
                p[...] = total / self.count
            yield
        finally:
            for p, kept in zip(params, raw, strict=True):
                p[...] = kept

    def state(self) -> dict[str, Any]:
        """Return what a resumed training needs besides ``totals``, as plain data that JSON can hold; here nothing."""
        return {}

    def _begun(self) -> dict[str, Any]:
        return {"begun": self.begun, "count": self.count}

    def restore(self, state: dict[str, Any], totals: list[Array]) -> None:
        """Go on from ``state``."""
        self.begun, self.count, self.totals = state["begun"], state["count"], totals


class Triggered(Averaging):
    """Begin after the first epoch that is worse than the best of all but the ``patience`` epochs before it.

    Source: S. Merity, N. Keskar and R. Socher, "Regularizing and optimizing LSTM language models", ICLR 2018,
    algorithm 1 (NT-ASGD).
    """

    def __init__(self, patience: int = 5) -> None:
        super().__init__()
        self.patience = patience
        self._perplexities: list[float] = []

    def epoch_end(self, perplexity: float) -> None:
        """Begin if the epoch is worse than all those that lie long enough back were at best."""
        earlier = self._perplexities[: -self.patience]
        self.begun = self.begun or (bool(earlier) and perplexity > min(earlier))
        self._perplexities.append(perplexity)

    def state(self) -> dict[str, Any]:
        """Return whether it has begun, the count and the epochs' perplexities."""
        return {**self._begun(), "perplexities": self._perplexities}

    def restore(self, state: dict[str, Any], totals: list[Array]) -> None:
        """Go on from ``state``."""
        super().restore(state, totals)
        self._perplexities = list(state["perplexities"])


class Tail(Averaging):
    """Average over the last ``share`` of training; what was averaged is dropped where the end has moved away."""

    def __init__(self, share: float = 0.25) -> None:
        super().__init__()
        self.share = share

    def progress(self, done: float) -> None:
        """Begin when no more than the share is left."""
        self.begun = done >= 1 - self.share
        if not self.begun:
            self.count, self.totals = 0, []

    def state(self) -> dict[str, Any]:
        """Return whether it has begun, and the count."""
        return self._begun()


def averaging_of(config: Config) -> Averaging:
    """Return what a run's options ask for.

    Raises:
        ConfigError: there is an option of another kind of averaging.
    """
    for name, kind in (("averaging_patience", "triggered"), ("averaging_share", "tail")):
        value = getattr(config, name)
        if config.averaging != kind and value != getattr(Config(), name):
            raise ConfigError(
                f"{name} = {value!r} is of --averaging {kind}, but averaging is {config.averaging!r}; leave it out"
            )
    if config.averaging == "triggered":
        return Triggered(config.averaging_patience)
    return Tail(config.averaging_share) if config.averaging == "tail" else Averaging()
