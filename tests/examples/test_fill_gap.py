"""examples/fill_gap.py: only the network that reads in both directions knows what the future decides."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "examples"))

import fill_gap

pytestmark = pytest.mark.slow


def test_both_directions_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = fill_gap.main(updates=120, tokens=40_000, lines=1000)
    for task in ("fill the gap", "inside quotes"):
        assert accuracy[task, True] > 0.95
        assert accuracy[task, False] < 0.65
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_the_gap_stands_for_the_visitor_who_is_named_again_at_the_end() -> None:
    vocabulary, ids, labels, lengths = fill_gap.gap_data(np.random.default_rng(0), 500)
    assert ((labels != -1).sum(axis=1) == 1).all()
    for row, label, length in zip(ids, labels, lengths, strict=True):
        words = [vocabulary[k] for k in row[:length]]
        assert words.count("____") == 1
        assert words[-6] == vocabulary[label.max()]  # "Mary said hi to Tom ."


def test_a_single_mark_opens_no_quotation() -> None:
    vocabulary, ids, labels, _ = fill_gap.quote_data(np.random.default_rng(0), 50)
    assert {int(k) for k in labels.ravel()} == {-1, 0, 1}
    for row, label in zip(ids, labels, strict=True):
        assert not (label == ((row == len(vocabulary) - 1).sum() != 2)).any()  # 1 with two marks, 0 with one
