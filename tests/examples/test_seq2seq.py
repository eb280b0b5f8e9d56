"""examples/seq2seq.py: the decoder answers from the encoder's state, and its gradient teaches the encoder."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from elman import check_gradients

sys.path.append(str(Path(__file__).parents[2] / "examples"))

import seq2seq

pytestmark = pytest.mark.slow


def test_the_encoder_learns_through_dh(capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = seq2seq.main(updates=250)
    assert accuracy[True] > 0.5
    assert accuracy[False] < accuracy[True] - 0.2
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_gradients_agree_with_differences() -> None:
    rng = np.random.default_rng(0)
    model = seq2seq.Seq2seq(11, 3, 4, rng, dtype=np.float64)
    questions = rng.integers(10, size=(2, 3))
    report = check_gradients(model, questions, questions[:, ::-1], max_entries=40)
    assert len(report.rows) == len(model.params) == 10
    assert report.passed, report


def test_without_dh_the_encoder_stays_as_it_was_drawn() -> None:
    rng = np.random.default_rng(0)
    model = seq2seq.Seq2seq(11, 3, 4, rng, taught=False)
    before = [p.copy() for layer in model.encoder for p in layer.params]
    questions, answers = seq2seq.make_data(rng)
    seq2seq.train(model, questions, answers, rng, updates=3)
    for ours, theirs in zip(before, [p for layer in model.encoder for p in layer.params], strict=True):
        assert_array_equal(ours, theirs)


def test_answers_are_the_questions_in_reverse_order_and_each_number_occurs_once() -> None:
    questions, answers = seq2seq.make_data(np.random.default_rng(0))
    assert_array_equal(questions[:, ::-1], answers)
    assert len(np.unique(questions, axis=0)) == len(questions) == 100_000
