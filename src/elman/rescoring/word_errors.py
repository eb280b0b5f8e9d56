"""Word error rates with confidence intervals, before and after rescoring.

Word errors: the substitutions, deletions and insertions that make a candidate the reference.

How sure a gain is: confidence intervals by drawing the utterances, or the speakers, anew.

Word error rates before and after rescoring, on utterances that the weights were not tuned on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, MissingExtra, TextError
from elman.evaluation.spelling import Case, in_case
from elman.rescoring.nbest import Utterance
from elman.rescoring.tuning import Floats, Table, Weights, chosen, padded, tune


def word_errors(reference: str, candidates: Sequence[str]) -> NDArray[np.int64]:
    """Return the least number of word edits (K,) from each candidate to the reference, as jiwer counts them.

    Raises:
        MissingExtra: jiwer is not installed.
    """
    try:
        from jiwer import process_words
    except ImportError as error:
        raise MissingExtra("jiwer", "rescore") from error
    words = reference.split()
    if not words:  # of which jiwer makes no alignment
        return np.array([len(text.split()) for text in candidates])
    found = process_words(
        [" ".join(words)] * len(candidates), [" ".join(text.split()) for text in candidates]
    )
    edits = [
        sum(
            max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
            for chunk in chunks
            if chunk.type != "equal"
        )
        for chunks in found.alignments
    ]
    return np.array(edits)


def error_table(
    utterances: Sequence[Utterance], references: Mapping[str, str], case: Case
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the word errors (U, K) of all candidates, and the number (U,) of words of the references.

    Raises:
        TextError: an utterance has no reference. MissingExtra: jiwer is not installed.
    """
    missing = [utterance.name for utterance in utterances if utterance.name not in references]
    if missing:
        raise TextError(
            f"utterances without a reference: {len(missing):,} of {len(utterances):,}, the first is {missing[0]}"
        )
    errors = []
    for utterance in utterances:
        texts = [in_case(candidate.text, case) for candidate in utterance.candidates]
        errors.append(word_errors(in_case(references[utterance.name], case), texts))
    lengths = np.array([len(references[utterance.name].split()) for utterance in utterances])
    return padded(errors, np.inf), lengths


SAMPLES = 10_000
LEVEL = 0.95
_AT_ONCE = 1 << 22  # draws held


def gain_interval(
    first: NDArray[np.float64],
    rescored: NDArray[np.float64],
    groups: Sequence[str],
    rng: np.random.Generator,
    samples: int = SAMPLES,
) -> tuple[float, float]:
    """Return where the relative gain, 1 - Σ rescored / Σ first, lies in 95 % of the samples.

    ``first`` and ``rescored`` are the errors (U,) of every utterance; utterances of one group (their own name, or their
    speaker) are drawn together, with replacement, as many groups as there are (M. Bisani and H. Ney, Bootstrap
    estimates for confidence intervals in ASR performance evaluation, ICASSP 2004).
    (nan, nan) where a sample has no errors.
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.stack([np.bincount(group, errors) for errors in (first, rescored)], axis=1)  # (G, 2)
    G = len(sums)
    step = max(1, _AT_ONCE // G)
    drawn = [
        sums[rng.integers(0, G, (min(step, samples - k), G))].sum(axis=1) for k in range(0, samples, step)
    ]
    totals = np.concatenate(drawn)  # (samples, 2)
    if not totals[:, 0].all():
        return float("nan"), float("nan")
    tails = (1 - LEVEL) / 2
    low, high = np.quantile(1 - totals[:, 1] / totals[:, 0], [tails, 1 - tails])
    return float(low), float(high)


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
