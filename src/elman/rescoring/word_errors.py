"""Word error rates before and after rescoring, with confidence intervals, on utterances not used for tuning."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, MissingExtra, TextError
from elman.evaluation.spelling import Case, in_case
from elman.rescoring.nbest import Utterance
from elman.rescoring.tuning import Floats, Table, Weights, chosen, padded, tune

Tune = Literal["both", "first", "second"]
Rows = NDArray[np.bool_]
SAMPLES = 10_000  # of the bootstrap
LEVEL = 0.95  # of the confidence intervals
_AT_ONCE = 1 << 22  # draws held in memory


def word_errors(reference: str, candidates: Sequence[str]) -> NDArray[np.int64]:
    """Return the minimum number of word edits (K,) from each candidate to the reference, computed by jiwer.

    Edits are substitutions, deletions and insertions of words.

    Raises:
        MissingExtra: jiwer is not installed.
    """
    try:
        from jiwer import process_words
    except ImportError as error:
        raise MissingExtra("jiwer", "rescore") from error
    words = reference.split()
    if not words:  # jiwer refuses an empty reference
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
    """Return the word errors (U, K) of all candidates and the number of words (U,) of the references.

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


def gain_interval(
    first: NDArray[np.float64],
    rescored: NDArray[np.float64],
    groups: Sequence[str],
    rng: np.random.Generator,
    samples: int = SAMPLES,
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the relative gain, 1 - Σ rescored / Σ first.

    ``first`` and ``rescored`` are the errors (U,) of every utterance. Groups of utterances (those of a speaker, or
    single ones) are drawn with replacement, as many as there are (M. Bisani and H. Ney, Bootstrap estimates for
    confidence intervals in ASR performance evaluation, ICASSP 2004). It is (nan, nan) if a sample has no errors.
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


@dataclass(frozen=True)
class Result:
    """Errors in ``words`` words of some utterances: of the first, the best possible and the rescored candidates."""

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
        """The fraction of the first candidates' errors that rescoring removed."""
        return 1 - self.rescored / self.first if self.first else 0.0

    def rate(self, errors: int) -> float:
        """Return the word error rate for this number of errors."""
        return errors / self.words if self.words else float("nan")


@dataclass(frozen=True)
class Measured:
    """The results, the totals (U, K) by which candidates were chosen, and the final weights for other utterances."""

    results: list[Result]
    table: Table
    totals: Floats
    final: Weights


@dataclass
class TuningExperiment:
    """Tunes the weights on one part of the utterances and measures word errors on another.

    ``errors`` (U, K) are the errors of all candidates, ``words`` (U,) the lengths of the references. Utterances of one
    group are drawn together for the confidence intervals. ``carried`` returns the table for given weights if the LM
    scores depend on them.
    """

    table: Table
    errors: Floats
    words: NDArray[np.int64]
    groups: Sequence[str]
    rng: np.random.Generator
    carried: Callable[[Weights], Table] | None = None

    def fixed(self, weights: Weights) -> Measured:
        """Measure with the given weights on all utterances."""
        table = self._table_for(weights)
        totals = table.totals(weights)
        everything = np.full(len(self.words), True)
        result = self._result("all", "given", weights, everything, totals)
        return Measured([result], table, totals, weights)

    def halves(self, first: Rows, which: Tune) -> Measured:
        """Tune on one half (or each in turn) and measure on the other; ``first`` (U,) marks the first half."""
        if first.all() or not first.any():
            raise ConfigError(
                f"{len(first)} utterance cannot be halved for tuning; give `lm_weight` and `beta`"
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
