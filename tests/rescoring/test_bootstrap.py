"""Confidence intervals, and halves of a list."""

import numpy as np
import pytest

from elman.rescoring.bootstrap import gain_interval
from elman.rescoring.speakers import first_half, in_order, speaker_of


def test_the_interval_covers_the_gain_and_narrows_with_more_utterances() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for U in (100, 2500):
        first = rng.poisson(3, U).astype(float)
        rescored = np.maximum(0, first - rng.integers(0, 2, U))
        low, high = gain_interval(first, rescored, [str(k) for k in range(U)], np.random.default_rng(1), 2000)
        assert low < 1 - rescored.sum() / first.sum() < high
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(5, rel=0.3)


def test_the_same_seed_gives_the_same_interval_and_groups_are_drawn_whole() -> None:
    first, rescored = np.array([4.0, 4, 2, 2]), np.array([2.0, 2, 2, 2])
    alone = [gain_interval(first, rescored, list("abcd"), np.random.default_rng(3)) for _ in range(2)]
    assert alone[0] == alone[1]
    assert gain_interval(first, rescored, list("aabb"), np.random.default_rng(3)) == (0.0, 0.5)
    assert gain_interval(first, first, list("aaaa"), np.random.default_rng(3)) == (0.0, 0.0)
    assert np.isnan(gain_interval(0 * first, 0 * first, list("abcd"), np.random.default_rng(3))).all()


def test_the_speaker_is_what_stands_before_the_separator() -> None:
    assert speaker_of("84-121123-0001") == "84"
    assert speaker_of("84-121123-0001", "_") == "84-121123-0001"
    assert speaker_of("ann_3", "_") == "ann"
    assert in_order(["b-2", "a-1", "b-1", "c-1", "b-3"]) == [[2, 0, 4], [1], [3]]


@pytest.mark.parametrize(
    ("names", "half"),
    [
        (["a-1", "a-2", "b-1", "b-2"], [1, 1, 0, 0]),
        (["a-1", "b-1", "b-2", "b-3"], [1, 0, 0, 0]),
        (["a-1", "a-2", "a-3", "b-1"], [1, 1, 1, 0]),
        (["a-1", "b-1", "a-2", "b-2"], [1, 0, 1, 0]),
        (["a-1", "a-2", "a-3"], [1, 0, 0]),
        (["x", "y", "z", "w"], [1, 1, 0, 0]),
        (["x"], [0]),
    ],
)
def test_halves_share_no_speaker_where_there_are_several(names: list[str], half: list[int]) -> None:
    assert first_half(names).astype(int).tolist() == half
