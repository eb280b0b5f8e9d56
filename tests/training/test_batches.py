"""Minibatches: the order in which a text is read."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import ConfigError, TextError
from elman.training.batches import Minibatches


def counting(n: int, N: int, T: int, **options: Any) -> Minibatches:
    """Sequences over 0, 1, 2 ...: what is read tells where it stood."""
    ids = np.arange(n + 1)
    return Minibatches(ids[:-1], ids[1:], N, T, **options)


def test_the_example_of_the_textbook() -> None:
    minibatches = counting(1000, 2, 10)
    for first in (0, 10, 20):
        xs, ts, restarted = minibatches.next()
        expected = [range(first, first + 10), range(500 + first, 510 + first)]
        np.testing.assert_array_equal(xs, expected)
        np.testing.assert_array_equal(ts, xs + 1)
        assert not restarted
    assert minibatches.blocks_per_epoch == 50


def test_every_sequence_wraps_to_the_start_in_the_middle_of_a_block() -> None:
    minibatches = counting(10, 2, 3)
    blocks = [minibatches.next()[0].tolist() for _ in range(4)]
    assert blocks == [
        [[0, 1, 2], [5, 6, 7]],
        [[3, 4, 5], [8, 9, 0]],
        [[6, 7, 8], [1, 2, 3]],
        [[9, 0, 1], [4, 5, 6]],
    ]


@given(n=st.integers(6, 60), N=st.integers(1, 3), T=st.integers(1, 2), blocks=st.integers(1, 80))
def test_reads_as_the_textbook_loop_does(n: int, N: int, T: int, blocks: int) -> None:
    minibatches = counting(n, N, T)
    time_idx = 0
    for _ in range(blocks):
        expected = np.empty((N, T), dtype=int)
        for t in range(T):
            for i in range(N):
                expected[i, t] = (i * (n // N) + time_idx) % n
            time_idx += 1  # once a step, not once a sequence
        xs, ts, _ = minibatches.next()
        np.testing.assert_array_equal(xs, expected)
        np.testing.assert_array_equal(ts, expected + 1)
    assert minibatches.position == time_idx
    assert minibatches.blocks_per_epoch == n // (N * T)


def test_the_position_continues_from_epoch_to_epoch() -> None:
    minibatches = counting(11, 1, 2)
    first_epoch = [minibatches.next()[0].tolist() for _ in range(minibatches.blocks_per_epoch)]
    assert first_epoch[0] == [[0, 1]]
    assert minibatches.next()[0].tolist() == [[10, 0]]
    assert minibatches.position == 12


def test_a_position_can_be_set() -> None:
    minibatches, other = counting(50, 2, 4), counting(50, 2, 4)
    for _ in range(9):
        minibatches.next()
    other.position = minibatches.position
    np.testing.assert_array_equal(minibatches.next()[0], other.next()[0])


@given(n=st.integers(3, 60), T=st.integers(1, 7), blocks=st.integers(1, 60))
def test_restart_reads_as_min_char_rnn_does(n: int, T: int, blocks: int) -> None:
    data_size = n + 1
    if n <= T:
        return
    minibatches = counting(n, 1, T, wrap="restart")
    p = 0
    since_restart = 0
    for k in range(blocks):
        restarts = p + T + 1 >= data_size
        if restarts:
            p = 0
            assert since_restart == minibatches.blocks_per_epoch
            since_restart = 0
        xs, ts, restarted = minibatches.next()
        np.testing.assert_array_equal(xs, [range(p, p + T)])
        np.testing.assert_array_equal(ts, [range(p + 1, p + T + 1)])
        assert restarted == (restarts and k > 0)
        since_restart += 1
        p += T


def test_blocks_are_copies_of_any_array(tmp_path: Any) -> None:
    np.arange(40, dtype=np.uint16).tofile(tmp_path / "ids")
    ids = np.memmap(tmp_path / "ids", np.uint16, mode="r")
    xs, ts, _ = Minibatches(ids[:-1], ids[1:], 2, 5).next()
    xs[...] = 0
    assert ts.tolist() == [[1, 2, 3, 4, 5], [20, 21, 22, 23, 24]]
    assert xs.dtype == np.uint16


def test_a_text_of_exactly_one_block_is_enough() -> None:
    assert counting(6, 2, 3).blocks_per_epoch == 1
    assert counting(4, 1, 3, wrap="restart").blocks_per_epoch == 1


@pytest.mark.parametrize(
    ("n", "options", "numbers"),
    [
        (5, {"N": 2, "T": 3}, "6 tokens, but one block of 2 sequences of 3 steps needs 7"),
        (3, {"N": 1, "T": 3, "wrap": "restart"}, "4 tokens, but one block of 1 sequences of 3 steps needs 5"),
        (0, {"N": 1, "T": 1}, "1 tokens, but one block of 1 sequences of 1 steps needs 2"),
    ],
)
def test_too_short_a_text_is_refused(n: int, options: dict[str, Any], numbers: str) -> None:
    with pytest.raises(TextError, match=f"too short: {numbers}; give more text, or a smaller batch size"):
        counting(n, **options)


@pytest.mark.parametrize(("N", "T"), [(0, 5), (5, 0), (-1, 5)])
def test_there_is_a_sequence_and_a_step(N: int, T: int) -> None:
    with pytest.raises(ConfigError, match=f"must be ≥ 1, got {N} and {T}"):
        counting(100, N, T)


def test_restart_has_one_sequence() -> None:
    with pytest.raises(ConfigError, match="'restart' needs batch size 1, got 2"):
        counting(100, 2, 5, wrap="restart")


def test_inputs_and_targets_are_of_one_length() -> None:
    with pytest.raises(ConfigError, match="the same length, got 10 and 9"):
        Minibatches(np.arange(10), np.arange(9), 1, 2)
