"""Word error rates before and after rescoring, on utterances that the weights were not tuned on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.rescoring.bootstrap import gain_interval
from elman.rescoring.tuning import tune
from elman.rescoring.weights import Floats, Table, Weights, chosen

Tune = Literal["both", "first", "second"]
Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class Result:
    """Errors in ``words`` of some utterances: of the first candidates, of the best there are, of the chosen ones."""

    part: str
    tuned_on: str
    weights: Weights | None
    utterances: int
    words: int
    first: int
    oracle: int
    rescored: int
    interval: tuple[float, float]

    @property
    def gain(self) -> float:
        """The share of the first candidates' errors that rescoring took away."""
        return 1 - self.rescored / self.first if self.first else 0.0

    def rate(self, errors: int) -> float:
        """Return the word error rate of so many errors."""
        return errors / self.words if self.words else float("nan")


@dataclass(frozen=True)
class Measured:
    """The results, the totals (U, K) by which candidates were chosen, and weights for texts to come."""

    results: list[Result]
    table: Table
    totals: Floats
    final: Weights


@dataclass
class Judge:
    """Tunes on one part of the utterances and measures on another.

    ``errors`` (U, K) are those of all candidates and ``words`` (U,) counts the references'; utterances of one group are
    drawn together in the confidence intervals. ``carried`` makes the table for given weights, where the
    numbers depend on them.
    """

    table: Table
    errors: Floats
    words: NDArray[np.int64]
    groups: Sequence[str]
    rng: np.random.Generator
    carried: Callable[[Weights], Table] | None = None

    def fixed(self, weights: Weights) -> Measured:
        """Measure with given weights, on all utterances."""
        table = self._table_for(weights)
        totals = table.totals(weights)
        everything = np.full(len(self.words), True)
        result = self._result("all", "given", weights, everything, totals)
        return Measured([result], table, totals, weights)

    def halves(self, first: Rows, which: Tune) -> Measured:
        """Tune on the half ``which`` (or on each), and measure on the other; ``first`` (U,) marks the first half."""
        if first.all() or not first.any():
            raise ConfigError(
                f"{len(first)} utterance cannot be halved, to tune on one half; give --lambda and --beta"
            )
        results, parts = [], []
        for tuned, own, name, other in (
            (first, "first", "first half", "second half"),
            (~first, "second", "second half", "first half"),
        ):
            if which not in ("both", own):
                continue
            weights = tune(self.table.part(tuned), self.errors[tuned])
            table = self._table_for(weights)
            if self.carried is not None:
                weights = tune(table.part(tuned), self.errors[tuned])
            totals = table.totals(weights)
            results.append(self._result(other, name, weights, ~tuned, totals))
            parts.append((~tuned, table, totals, weights))
        if which != "both":
            _, table, totals, weights = parts[0]
            return Measured(results, table, totals, weights)
        (rows, one, one_totals, _), (_, two, two_totals, _) = parts
        table, totals = one.where(rows, two), np.where(rows[:, None], one_totals, two_totals)
        everything = np.full(len(self.words), True)
        results.append(self._result("both halves", "the other half", None, everything, totals))
        return Measured(results, table, totals, tune(table, self.errors))

    def _table_for(self, weights: Weights) -> Table:
        return self.table if self.carried is None else self.carried(weights)

    def _result(
        self, part: str, tuned_on: str, weights: Weights | None, rows: Rows, totals: Floats
    ) -> Result:
        errors = self.errors[rows]
        first, rescored = errors[:, 0], chosen(errors, totals[rows].argmax(axis=1))
        groups = [group for group, wanted in zip(self.groups, rows, strict=True) if wanted]
        return Result(
            part,
            tuned_on,
            weights,
            int(rows.sum()),
            int(self.words[rows].sum()),
            int(first.sum()),
            int(errors.min(axis=1).sum()),
            int(rescored.sum()),
            gain_interval(first, rescored, groups, self.rng),
        )
