"""Runs with a sampled softmax: the model is a full one, and resuming is bit for bit."""

from pathlib import Path
from typing import Any

import pytest

from elman.errors import ConfigError
from elman.evaluation.perplexity import evaluate
from elman.text_model import load
from elman.training.run import TrainingRun
from support.runs import assert_same_end, in_parts, new_run
from support.tiny import SENTENCE


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd", "lr": 0.5, "cell": "gru"},
        {"optimizer": "adam", "cell": "lstm", "dropout": 0.3, "wordvec": 6, "tie_weights": True},
    ],
    ids=lambda options: options["optimizer"],
)
def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "valid.txt").write_text(SENTENCE + "tom was in the garden .\n", encoding="utf-8")
    more = {"softmax": "sampled", "candidates": 9, "valid": str(tmp_path / "valid.txt"), **options}
    whole = new_run(tmp_path / "whole", **more)
    whole.train()
    parts = in_parts(new_run(tmp_path / "parts", **more), {1, 8, 9, 11, 26})
    assert_same_end(parts, whole)


def test_it_learns_a_model_that_is_a_full_softmax(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", softmax="sampled", candidates=9, lr=0.02, epochs=40)
    run.train()
    model: Any = load(run.folder).model
    assert model.hyperparameters == run.trainer.model.hyperparameters
    assert "adaptive" not in model.hyperparameters
    assert evaluate(model, run.corpora.train.ids, eos=run.text_model.start_id).perplexity < 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": 24}, "fewer candidates than the vocabulary's 24 words"),
        ({"candidates": 9, "cutoffs": "4,9"}, "softmax is 'sampled'"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_begin_no_run(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        new_run(tmp_path / "run", softmax="sampled", **options)
    assert not (tmp_path / "run").exists()


def test_another_softmax_than_the_checkpoints_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", softmax="sampled", candidates=9)
    path = run.folder / "config.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('"sampled"', '"adaptive"'), encoding="utf-8")
    with pytest.raises(ConfigError, match="says softmax = 'adaptive', but"):
        TrainingRun.resume(run.folder)
