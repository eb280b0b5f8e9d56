"""Totals, and the weights with the fewest errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.rescoring.nbest import Candidate, Utterance
from elman.rescoring.rescorer import reranked
from elman.rescoring.tuning import Table, Weights, count_errors, tune
from elman.rescoring.word_errors import TuningExperiment

NONE = Weights(0.0, 0.0)


def made(U: int = 200, K: int = 4, seed: int = 0) -> tuple[Table, np.ndarray]:  # type: ignore[type-arg]
    """Candidates that are right where the sum of acoustic and a quarter of LM is highest."""
    rng = np.random.default_rng(seed)
    acoustic, lm = -rng.exponential(2, (U, K)), -rng.exponential(8, (U, K))
    acoustic = -np.sort(-acoustic, axis=1)
    words = rng.integers(3, 6, (U, K)).astype(float)
    best = (acoustic + 0.25 * lm + 0.5 * words).argmax(axis=1)
    return Table(acoustic, lm, words), (np.arange(K) != best[:, None]).astype(float)


def test_a_total_is_the_weighted_sum_and_padding_never_wins() -> None:
    utterances = [
        Utterance("u", (Candidate(1, -1.0, "a b"), Candidate(2, -2.0, ""))),
        Utterance("v", (Candidate(1, -9.0, "a"),)),
    ]
    table = Table.of(utterances, [np.array([-3.0, -1.0]), np.array([-np.inf])])
    assert_allclose(table.totals(Weights(2.0, 0.5))[0], [-1 - 6 + 1, -2 - 2])
    assert table.best(Weights(2.0, 0.5)).tolist() == [1, 0]
    assert table.best(NONE).tolist() == [0, 0]
    assert_allclose(table.totals(NONE)[1], [-9.0, -np.inf])


def test_reranking_orders_by_the_totals_and_marks_impossible_candidates() -> None:
    utterances = [Utterance("u", (Candidate(1, -1.0, "a"), Candidate(2, -2.0, "b"), Candidate(3, -2.5, "c")))]
    table = Table.of(utterances, [np.array([-np.inf, -5.0, -4.0])])
    (found,) = reranked(utterances, table, table.totals(Weights(1.0, 0.0)))
    assert [(c.rank, c.text, c.lm) for c in found.candidates] == [
        (1, "c", -4.0),
        (2, "b", -5.0),
        (3, "a", -np.inf),
    ]


def test_tuning_finds_weights_that_are_nearly_free_of_errors() -> None:
    table, errors = made()
    weights = tune(table, errors)
    assert weights.lm == pytest.approx(0.25, rel=0.25)
    assert weights.words == pytest.approx(0.5, abs=0.3)
    assert count_errors(table, errors, weights) < 0.1 * count_errors(table, errors, NONE)


def test_weights_that_help_nothing_are_0() -> None:
    table, _ = made()
    errors = (np.arange(4) > 0) * np.ones((200, 1))
    assert tune(table, errors) == NONE


def test_each_half_is_measured_with_weights_tuned_on_the_other() -> None:
    table, errors = made()
    first = np.arange(200) < 80
    judge = TuningExperiment(
        table, errors, np.full(200, 5), [str(k) for k in range(200)], np.random.default_rng(0)
    )
    measured = judge.halves(first, "both")
    second, one, both = measured.results
    assert (second.part, second.tuned_on, second.utterances) == ("second half", "first half", 120)
    assert (one.part, one.tuned_on, one.utterances) == ("first half", "second half", 80)
    assert second.weights == tune(table.part(first), errors[first])
    assert (both.utterances, both.words, both.oracle) == (200, 1000, 0)
    assert both.rescored == second.rescored + one.rescored
    assert both.first == int(errors[:, 0].sum())
    assert 0 < both.interval[0] < both.gain < both.interval[1] <= 1
    assert one.weights is not None
    assert_allclose(measured.totals[first], table.totals(one.weights)[first])
    (alone,) = judge.halves(first, "first").results
    assert (alone.part, alone.weights, alone.rescored) == ("second half", second.weights, second.rescored)


def test_given_weights_are_measured_on_all() -> None:
    table, errors = made()
    judge = TuningExperiment(
        table, errors, np.full(200, 5), [str(k) for k in range(200)], np.random.default_rng(0)
    )
    (result,) = judge.fixed(Weights(0.25, 0.5)).results
    assert (result.part, result.rescored, result.gain) == ("all", 0, 1.0)


def test_scores_that_depend_on_the_weights_are_recomputed() -> None:
    table, errors = made()
    asked: list[Weights] = []

    def carried(weights: Weights) -> Table:
        asked.append(weights)
        return Table(table.acoustic, table.lm * 2, table.words)

    judge = TuningExperiment(table, errors, np.full(200, 5), ["s"] * 200, np.random.default_rng(0), carried)
    first = np.arange(200) < 100
    (result,) = judge.halves(first, "first").results
    assert asked == [tune(table.part(first), errors[first])]
    assert result.weights is not None
    assert result.weights.lm == pytest.approx(asked[0].lm / 2, rel=0.3)
