"""Longest copies and new n-grams, compared with a slow search for every substring at every position."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import ConfigError, ElmanError, ShapeError, VocabularyError
from elman.evaluation import novelty as module
from elman.evaluation.novelty import Novelty, novelty

Some = st.lists(st.integers(0, 3), max_size=40)


def slow(generated: list[int], training: list[int], max_n: int) -> Novelty:
    """Return the same by comparing slices."""
    m = len(generated)
    windows = {n: [generated[i : i + n] for i in range(m - n + 1)] for n in range(1, m + 1)}
    there = {n: [training[i : i + n] for i in range(len(training) - n + 1)] for n in range(1, m + 1)}
    new_share = {
        n: sum(window not in there[n] for window in windows[n]) / len(windows[n])
        for n in range(1, min(max_n, m) + 1)
    }
    for n in range(m, 0, -1):
        for position, window in enumerate(there[n]):
            if window in windows[n]:
                return Novelty(m, n, windows[n].index(window), position, new_share)
    return Novelty(m, 0, 0, 0, new_share)


@pytest.fixture(params=[(1, 1 << 18), (4, 0), (7, 8)], ids=str)
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that a stretch may lie across, with tables of both kinds."""
    block, direct = request.param
    monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(module, "DIRECT", direct)


@pytest.mark.usefixtures("small_blocks")
def test_results_are_those_of_the_slow_search() -> None:
    @settings(deadline=None)
    @given(generated=Some, training=Some, max_n=st.integers(1, 12))
    def check(generated: list[int], training: list[int], max_n: int) -> None:
        found = novelty(np.array(generated, np.int64), np.array(training, np.uint8), max_n)
        assert found == slow(generated, training, max_n)

    check()


@settings(max_examples=40, deadline=None)
@given(data=st.data(), training=st.lists(st.integers(-1, 300), min_size=30, max_size=80))
def test_a_planted_match_is_found(data: Any, training: list[int]) -> None:
    begin = data.draw(st.integers(0, 25))
    stretch = [token for token in training[begin : begin + data.draw(st.integers(1, 60))] if token >= 0]
    generated = [*data.draw(st.lists(st.integers(0, 300), max_size=5)), *stretch, 301]
    found = novelty(np.array(generated), np.array(training, np.int32), 6)
    assert found == slow(generated, training, 6)


def test_a_long_text_is_read_across_blocks() -> None:
    rng = np.random.default_rng(0)
    training = rng.integers(0, 5, 3 * module.BLOCK).astype(np.uint16)
    edge = module.BLOCK
    generated = np.concatenate([rng.integers(0, 5, 50), training[edge - 30 : edge + 30], [7], training[-20:]])
    found = novelty(generated, training, 10)
    assert (found.longest, found.begin, found.position) == (60, 50, edge - 30)
    assert found.new_share[1] == 1 / 131
    assert 0 < found.new_share[6] < found.new_share[10] < 1


def test_a_memorised_text_is_not_new() -> None:
    training = np.random.default_rng(1).integers(0, 50, 500)
    found = novelty(training[100:400], training)
    assert found == Novelty(300, 300, 0, 100, dict.fromkeys(range(1, 7), 0.0))


def test_repeated_tokens_take_no_longer_and_the_first_place_counts() -> None:
    training = np.concatenate([[1] * 70, [0] * 1000, [2], [0] * 2000])
    found = novelty(np.zeros(800, int), training, 2)
    assert found == Novelty(800, 800, 0, 70, {1: 0.0, 2: 0.0})


def test_tokens_without_an_id_match_nothing() -> None:
    found = novelty(np.array([0, 1, 2]), np.array([-1, 1, -1, -1], np.int32), 3)
    assert found == Novelty(3, 1, 1, 1, {1: pytest.approx(2 / 3), 2: 1.0, 3: 1.0})


@pytest.mark.parametrize(
    ("generated", "training", "expected"),
    [
        ([], [1, 2], Novelty(0, 0, 0, 0, {})),
        ([1, 2], [], Novelty(2, 0, 0, 0, {1: 1.0, 2: 1.0})),
        ([1, 2], [3, 4], Novelty(2, 0, 0, 0, {1: 1.0, 2: 1.0})),
        ([9], [3, 9], Novelty(1, 1, 0, 1, {1: 0.0})),
    ],
)
def test_the_smallest_texts(generated: list[int], training: list[int], expected: Novelty) -> None:
    assert novelty(np.array(generated, np.int64), np.array(training, np.int64)) == expected


@pytest.mark.parametrize(
    ("generated", "training", "max_n", "error", "message"),
    [
        ([[1]], [1], 6, ShapeError, r"the ids of the generated text must be \(n,\), got \(1, 1\)"),
        ([1], [[1]], 6, ShapeError, r"the ids of the training text must be \(n,\), got \(1, 1\)"),
        ([1, -1], [1], 6, VocabularyError, "the ids of the generated text must be 0 or more, got -1"),
        ([1], [1], 0, ConfigError, "max_n must be an integer ≥ 1, got 0"),
    ],
)
def test_invalid_arguments_are_refused(
    generated: Any, training: Any, max_n: int, error: type[ElmanError], message: str
) -> None:
    with pytest.raises(error, match=message):
        novelty(np.array(generated), np.array(training), max_n)
