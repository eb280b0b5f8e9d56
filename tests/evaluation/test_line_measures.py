"""Measures of scored lines, and the least probable lines of a text."""

import math
import random

import pytest

from elman.evaluation.line_measures import LeastProbableLines, Measure, ScoredLine
from elman.evaluation.line_scores import LineScore

SCORE = LineScore(tokens=4, unknown=0, nll_nats=8 * math.log(2))


@pytest.mark.parametrize(
    ("measure", "name", "value"),
    [
        (Measure(), "ln_prob", -8 * math.log(2)),
        (Measure("bits"), "log2_prob", -8),
        (Measure("log10"), "log10_prob", -8 * math.log10(2)),
        (Measure("bits", "token"), "log2_prob_per_token", -2),
        (Measure("bits", "char"), "log2_prob_per_char", -0.5),
    ],
)
def test_a_measure_has_a_unit_and_a_name(measure: Measure, name: str, value: float) -> None:
    assert measure.name == name
    assert measure.of(SCORE, characters=16) == pytest.approx(value)


def test_the_mean_of_an_empty_line_is_nan() -> None:
    nothing = LineScore(0, 0, 0.0)
    assert math.isnan(Measure("bits", "token").of(nothing, 0))
    assert math.isnan(Measure("bits", "char").of(nothing, 0))
    assert math.copysign(1, Measure("bits").of(nothing, 0)) == 1  # no -0.0000 in a table


def test_impossible_lines_are_impossible_by_any_measure() -> None:
    assert Measure("log10", "char").of(LineScore(2, 1, math.inf), 3) == -math.inf


def scored_line(number: int) -> ScoredLine:
    return ScoredLine(SCORE.tokens, SCORE.unknown, SCORE.nll_nats, number, 6, f"line {number}")


def test_the_oddest_lines_are_kept_and_of_equal_ones_the_first() -> None:
    measures = [-1.0, -3.0, -math.inf, -2.0, math.nan, -3.0, -3.0, -0.5]
    lines = [(measure, scored_line(k)) for k, measure in enumerate(measures, 1)]
    random.Random(0).shuffle(lines)
    oddest = LeastProbableLines(3)
    for measure, line in lines:
        oddest.add(measure, line)
    assert [line.line for line in oddest.in_order()] == [3, 2, 6]


def test_there_may_be_fewer_lines() -> None:
    oddest = LeastProbableLines(3)
    oddest.add(-1.0, scored_line(1))
    assert [line.line for line in oddest.in_order()] == [1]
