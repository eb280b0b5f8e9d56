"""Units, and what a logarithm is divided by; and the oddest of many lines."""

import math
import random

import pytest

from elman.evaluation.line_measure import Measure
from elman.evaluation.oddest import Found, Oddest
from elman.evaluation.scoring import LineScore

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


def test_nothing_has_no_mean() -> None:
    nothing = LineScore(0, 0, 0.0)
    assert math.isnan(Measure("bits", "token").of(nothing, 0))
    assert math.isnan(Measure("bits", "char").of(nothing, 0))
    assert math.copysign(1, Measure("bits").of(nothing, 0)) == 1  # no -0.0000 in a table


def test_impossible_lines_stay_so_by_any_measure() -> None:
    assert Measure("log10", "char").of(LineScore(2, 1, math.inf), 3) == -math.inf


def found(number: int, measure: float) -> Found:
    return Found(number, measure, SCORE, f"line {number}")


def test_the_oddest_lines_are_kept_and_of_equal_ones_the_first() -> None:
    measures = [-1.0, -3.0, -math.inf, -2.0, math.nan, -3.0, -3.0, -0.5]
    lines = [found(k, measure) for k, measure in enumerate(measures, 1)]
    random.Random(0).shuffle(lines)
    oddest = Oddest(3)
    for line in lines:
        oddest.add(line)
    assert [line.number for line in oddest.in_order()] == [3, 2, 6]


def test_there_may_be_fewer_lines() -> None:
    oddest = Oddest(3)
    oddest.add(found(1, -1.0))
    assert [line.number for line in oddest.in_order()] == [1]
