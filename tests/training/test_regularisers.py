"""The options for regularisation: how they reach the model, errors, and resuming with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.errors import ConfigError
from elman.formats.model_file import read_arrays
from elman.models.regularisation import Regularisation
from elman.text_model import load
from elman.training.model_options import regularisation_of
from elman.training.run import TrainingRun
from support.runs import in_parts, new_run, small_config, without_seconds
from support.tiny import SENTENCE

EVERYTHING: dict[str, Any] = {
    "layers": 2,
    "dropout": 0.3,
    "dropout_mask": "block",
    "input_dropout": 0.1,
    "output_dropout": 0.5,
    "embedding_dropout": 0.2,
    "recurrent_dropout": 0.4,
    "activation_penalty": 2.0,
    "temporal_penalty": 1.0,
    "init": "orthogonal",
}


def test_by_default_there_is_nothing_of_it() -> None:
    assert regularisation_of(small_config()) == Regularisation()


def test_every_option_reaches_the_model(tmp_path: Path) -> None:
    asked = Regularisation("block", 0.1, 0.5, 0.2, 0.4, 2.0, 1.0)
    assert regularisation_of(small_config(**EVERYTHING)) == asked
    model = new_run(tmp_path / "run", **EVERYTHING).trainer.model
    assert [type(layer).__name__.removeprefix("Time") for layer in model.layers] == (
        ["Embedding", "Dropout", "RNN", "Dropout", "RNN", "TemporalPenalty", "Dropout", "ActivationPenalty"]
    )
    Wh = model.weights["0.Wh"]
    assert np.abs(Wh @ Wh.T - np.eye(len(Wh))).max() < 1e-5
    assert model.embedding.dropout.ratio == 0.2
    assert [rnn.dropout.ratio for rnn in model.rnn_layers] == [0.4, 0.4]


def test_a_dropout_rate_of_one_place_can_be_zero() -> None:
    found = regularisation_of(small_config(dropout=0.5, input_dropout=0.0))
    assert (found.input_dropout, found.output_dropout) == (0.0, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"input_dropout": -0.5},
            "`input_dropout` must be a number ≥ 0 and < 1, or -1 for the value of dropout; got",
        ),
        ({"output_dropout": -0.1}, "`output_dropout` must be a number"),
        ({"input_dropout": 0.2, "wordvec": 0}, "`input_dropout=0.2` drops word vectors, but wordvec is 0"),
        ({"temporal_penalty": 1.0, "time_size": 1}, "compares the steps of a block, but time_size is 1"),
        ({"init": "identity", "cell": "gru"}, "use cell='rnn'"),
        ({"init": "uniform", "weight_scale": 0.0}, "needs weight_scale; set it"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        new_run(tmp_path / "run", **options)
    assert not list((tmp_path / "run").glob("*"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("embedding_dropout", 1.0, "≥ 0 and < 1, got 1.0"),
        ("recurrent_dropout", -0.1, "≥ 0 and < 1, got -0.1"),
        ("input_dropout", -2.0, "or -1 for the value of dropout, got -2.0"),
        ("activation_penalty", -1.0, "≥ 0, got -1.0"),
        ("dropout_mask", "epoch", "step or block, got 'epoch'"),
        ("init", "xavier", "normal or uniform or orthogonal or identity"),
    ],
)
def test_what_is_out_of_range_is_named(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be .*{message}"):
        small_config(**{name: value})


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path, cell: str) -> None:
    (tmp_path / "valid.txt").write_text(SENTENCE + "tom was in the garden .\n", encoding="utf-8")
    options = {**EVERYTHING, "cell": cell, "valid": str(tmp_path / "valid.txt")}
    whole = new_run(tmp_path / "whole", **options)
    whole.train()
    parts = in_parts(new_run(tmp_path / "parts", **options), {1, 7, whole.trainer.progress.iteration - 1})
    ours, theirs = (read_arrays(run.folder / "last.safetensors")[0] for run in (parts, whole))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert np.array_equal(ours[name], theirs[name]), name
    assert without_seconds(parts.folder) == without_seconds(whole.folder)


def test_a_trained_model_is_loaded_without_it(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", **EVERYTHING)
    run.train()
    model = load(run.folder).model
    assert model.embedding.dropout is None
    assert model.hyperparameters == run.trainer.model.hyperparameters
    ids = np.array([[1, 2, 3]])
    kept = TrainingRun.resume(run.folder).trainer.model
    assert kept.embedding.dropout is not None
    found, expected = (m.target_log_probs(ids, m.start())[0] for m in (kept, run.trainer.model))
    assert np.array_equal(found, expected)
