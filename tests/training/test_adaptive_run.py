"""Runs with an adaptive softmax: clusters by the training text's counts, and resuming bit for bit."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from elman.errors import ConfigError
from elman.text_model import load
from elman.training.config import Config
from elman.training.run import TrainingRun
from support.runs import assert_same_end, contents, in_parts, new_run
from support.tiny import SENTENCE, STORY


@pytest.mark.parametrize("order", ["appearance", "frequency"])
def test_the_head_holds_the_most_frequent_words_whatever_their_ids(tmp_path: Path, order: str) -> None:
    run = new_run(tmp_path / "run", softmax="adaptive", cutoffs="3,9", vocab_order=order, min_count=2)
    counts = Counter(STORY.replace("\n", " <eos> ").split())
    model, tokens = run.trainer.model, run.corpora.train.vocabulary.tokens
    left_out = sum(n for token, n in counts.items() if token not in tokens)
    by_rank = [tokens[id_] for id_ in np.argsort(model.ranks)]
    found = [counts.get(token, left_out) for token in by_rank]
    assert model.adaptive == (3, 9)
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


def test_cutoffs_are_chosen_from_the_size_of_the_vocabulary(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", softmax="adaptive")
    assert run.trainer.model.vocab_size == 24
    assert run.trainer.model.adaptive == (6,)
    run.train()
    assert TrainingRun.resume(run.folder).trainer.model.adaptive == (6,)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd", "lr": 0.5, "schedule": "plateau"},
        {"optimizer": "adagrad", "lr": 0.1, "cell": "lstm", "dropout": 0.3, "vocab_order": "frequency"},
        {"optimizer": "adam", "lr": 0.01, "cell": "gru", "layers": 2, "clip_value": 0.1},
    ],
    ids=lambda options: options["optimizer"],
)
def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "valid.txt").write_text(SENTENCE + "tom was in the garden .\n", encoding="utf-8")
    more = {"softmax": "adaptive", "cutoffs": "4,9", "valid": str(tmp_path / "valid.txt"), **options}
    whole = new_run(tmp_path / "whole", **more)
    whole.train()
    parts = in_parts(new_run(tmp_path / "parts", **more), {1, 8, 9, 11, 26})
    assert_same_end(parts, whole)
    assert contents(parts.folder)["model.safetensors"] == contents(whole.folder)["model.safetensors"]


def test_it_learns_and_its_checkpoint_is_a_model_file(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", softmax="adaptive", cutoffs="4,9", lr=0.02, epochs=40)
    run.train()
    assert run.text_model.info["best"]["perplexity"] < 2
    last: Any = load(run.folder / "last.safetensors").model
    assert_array_equal(last.ranks, run.trainer.model.ranks)
    for param, other in zip(last.params, run.trainer.model.params, strict=True):
        assert_array_equal(param, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cutoffs": "4,9"}, "leave it out, or set `softmax='adaptive'`"),
        ({"softmax": "adaptive", "cutoffs": "4,30"}, "below the vocabulary's 24 tokens; got 4, 30"),
        ({"softmax": "adaptive", "cutoffs": "9,4"}, "got 9, 4"),
        ({"softmax": "adaptive", "tie_weights": True, "wordvec": 6}, "use only one of the two"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_begin_no_run(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        new_run(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("cutoffs", ["", "0,5", "4,,9", "4;9", "4, 9", "-4", "2.5", "none"])
def test_cutoffs_that_are_not_numbers_are_refused(cutoffs: str) -> None:
    with pytest.raises(
        ConfigError, match="cutoffs must be auto, or increasing numbers such as 2000,20000, got "
    ):
        Config.of({"cutoffs": cutoffs}, "here")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('softmax = "adaptive"', 'softmax = "full"', "says softmax = 'full', but .* has 'adaptive'"),
        ('cutoffs = "4,9"', 'cutoffs = "4,8"', "says cutoffs = '4,8', but .* has '4,9'"),
    ],
)
def test_options_edited_into_those_of_another_model_are_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    run = new_run(tmp_path / "run", softmax="adaptive", cutoffs="4,9")
    path = run.folder / "config.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        TrainingRun.resume(run.folder)
