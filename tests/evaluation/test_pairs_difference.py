"""The paired difference of two models' accuracies: published values, symmetry, and its place in the result."""

import math

import pytest

from elman.api.pairs import pairs
from elman.errors import ShapeError
from elman.evaluation.pairs_difference import accuracy_difference, mcnemar, newcombe_interval
from support.ngrams import sentence_model


@pytest.mark.parametrize(
    ("only", "other", "p"), [(0, 0, 1.0), (1, 0, 1.0), (6, 0, 2 / 64), (9, 1, 22 / 1024), (3, 3, 1)]
)
def test_the_exact_test_is_binomial(only: int, other: int, p: float) -> None:
    assert mcnemar(only, other) == pytest.approx(p)
    assert mcnemar(other, only) == mcnemar(only, other)


def test_the_test_holds_for_many_pairs() -> None:
    assert 0 < mcnemar(30_000, 31_000) < 1e-4
    assert mcnemar(0, 10_000) == 0.0


@pytest.mark.parametrize(
    ("counts", "low", "high"),  # Newcombe (1998), table II, method 10
    [
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((36, 14, 0, 0), 0.1528, 0.4167),
        ((50, 0, 0, 0), -0.0713, 0.0713),
        ((1, 1, 1, 51), -0.0713, 0.0713),
    ],
)
def test_the_interval_is_newcombes(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    found = newcombe_interval(*counts)
    if counts[3] != 51:
        assert found == pytest.approx((low, high), abs=5e-4)
    assert found[0] == pytest.approx(-newcombe_interval(counts[0], counts[2], counts[1], counts[3])[1])


def test_a_model_is_compared_pair_by_pair() -> None:
    found = accuracy_difference([True, True, True, False], [True, False, False, False], "a", "b")
    assert (found.only, found.other_only, found.difference) == (2, 0, 0.5)
    assert found.p == 0.5
    assert found.low < 0.5 < found.high
    with pytest.raises(ShapeError, match="the same one or more pairs"):
        accuracy_difference([True], [])


def test_the_result_compares_the_best_model_with_the_others() -> None:
    good = "tom was watching tv in his room ."
    given = [(good, "tom was tv watching in his room ."), (good, "room his in tv watching was tom .")]
    models = {
        "n-gram": sentence_model(),
        "other": sentence_model("room his in tv watching was tom .\n" * 3 + good),
    }
    result = pairs(models, given)
    (difference,) = result.differences
    assert {difference.model, difference.other} == {"n-gram", "other"}
    assert difference.difference >= 0
    assert "McNemar" in repr(result)
    assert pairs(models["n-gram"], given).differences == []
    assert math.isfinite(difference.p)
