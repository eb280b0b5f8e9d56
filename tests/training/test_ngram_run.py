"""Runs of n-gram models: the files in their folders, and their metrics."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.errors import ConfigError, RunError, TextError
from elman.evaluation.perplexity import evaluate
from elman.formats.metrics_log import read_metrics
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import kneser_ney, witten_bell
from elman.text_model import load
from elman.training.config import Config
from elman.training.model_options import check_options
from elman.training.ngram_run import train_ngram
from elman.training.run import TrainingRun
from support.runs import contents, names, new_run
from support.tiny import STORY

VALID = "tom was in the garden .\nmary was asleep .\n"


@pytest.fixture
def texts(tmp_path: Path) -> tuple[str, str]:
    """A training text and a validation text."""
    for name, text in (("train.txt", STORY), ("valid.txt", VALID)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / "train.txt"), str(tmp_path / "valid.txt")


def options(**changes: Any) -> Config:
    return Config.of({"model": "ngram", "order": 3, **changes}, "this test")


def test_a_run_is_a_folder_of_three_files(texts: tuple[str, str], tmp_path: Path) -> None:
    run = train_ngram(tmp_path / "run", texts[0], options(), valid=texts[1])
    assert names(run.folder) == ["config.toml", "metrics.jsonl", "model.safetensors"]
    start, counted = read_metrics(run.folder)
    assert (start["kind"], start["unit"], start["tokens"], start["vocab_size"]) == ("start", "word", 77, 24)
    assert counted["kind"] == "counted"
    assert counted["ngrams"] == list(run.ngrams)
    assert counted["valid_perplexity"] == run.valid_perplexity
    assert run.ngrams[0] == 24 + 1  # and <s>
    again = load(run.folder)
    assert again.info == run.text_model.info
    assert (again.info["order"], again.info["smoothing"]) == (3, "kneser-ney")
    assert run.valid_perplexity == perplexity_of_valid(again)


def perplexity_of_valid(model: Any) -> float:
    _, ids = model.encode(VALID)
    return evaluate(model.model, ids, eos=model.start_id).perplexity


@pytest.mark.parametrize(("name", "smoothing"), [("kneser-ney", kneser_ney), ("witten-bell", witten_bell)])
def test_the_model_is_of_lines_as_sentences(
    texts: tuple[str, str], tmp_path: Path, name: str, smoothing: Any
) -> None:
    run = train_ngram(tmp_path / "run", texts[0], options(smoothing=name, order=4))
    corpus = run.corpora.train
    eos = corpus.vocabulary.eos_id
    same = NgramModel.train(corpus.ids, len(corpus.vocabulary), 4, smoothing, eos)
    model: Any = run.text_model.model
    assert model.eos == eos
    ids = corpus.ids[None].astype(int)
    np.testing.assert_array_equal(
        model.target_log_probs(ids, model.start())[0], same.target_log_probs(ids, same.start())[0]
    )
    assert run.valid_perplexity is None


@pytest.mark.parametrize("level", ["char", "jamo", "byte"])
def test_other_tokens_than_words(texts: tuple[str, str], tmp_path: Path, level: str) -> None:
    run = train_ngram(tmp_path / "run", texts[0], options(level=level), valid=texts[1])
    assert run.valid_perplexity is not None
    assert 1 < run.valid_perplexity < 10


def test_a_text_without_ends_of_lines_is_one_stream(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("abcabcabd", encoding="utf-8")
    run = train_ngram(tmp_path / "run", str(tmp_path / "text"), options(level="char"))
    model: Any = load(run.folder).model
    assert model.eos is None


def test_an_infinite_perplexity_is_null_in_the_metrics(texts: tuple[str, str], tmp_path: Path) -> None:
    Path(texts[1]).write_text("a zeppelin\n", encoding="utf-8")
    run = train_ngram(tmp_path / "run", texts[0], options(), valid=texts[1])
    assert run.valid_perplexity == math.inf
    assert read_metrics(run.folder)[1]["valid_perplexity"] is None
    json.loads((run.folder / "metrics.jsonl").read_text("utf-8").splitlines()[1], parse_constant=pytest.fail)


def test_a_run_is_replaced_only_with_overwrite_and_only_without_errors(
    texts: tuple[str, str], tmp_path: Path
) -> None:
    recurrent = new_run(tmp_path / "run")
    before = contents(recurrent.folder)
    with pytest.raises(RunError, match="already holds a run"):
        train_ngram(recurrent.folder, texts[0], options())
    with pytest.raises(TextError):
        train_ngram(recurrent.folder, str(tmp_path / "gone.txt"), options(), overwrite=True)
    assert contents(recurrent.folder) == before
    train_ngram(recurrent.folder, texts[0], options(), overwrite=True)
    assert names(recurrent.folder) == ["config.toml", "metrics.jsonl", "model.safetensors"]


def test_a_model_that_cannot_be_written_leaves_no_half_run(
    texts: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise RunError("the disk is full")

    monkeypatch.setattr("elman.training.ngram_run.save_model", full)
    with pytest.raises(RunError, match="the disk is full"):
        train_ngram(tmp_path / "run", texts[0], options())
    assert not (tmp_path / "run").exists()


def test_there_is_nothing_to_resume(texts: tuple[str, str], tmp_path: Path) -> None:
    run = train_ngram(tmp_path / "run", texts[0], options())
    with pytest.raises(RunError, match="holds an n-gram model, which is complete"):
        TrainingRun.resume(run.folder)


def test_a_training_run_is_of_a_recurrent_model(texts: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="n-gram models are counted, not trained"):
        TrainingRun.create(tmp_path / "run", texts[0], options())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"model": "ngram", "hidden": 7},
            "`hidden` applies only to `model='rnn'` or `model='nplm'`, but model is 'ngram'; leave out `hidden=7`",
        ),
        (
            {"model": "ngram", "epochs": 3},
            "`epochs` applies only to `model='rnn'` or `model='cbow'` or `model='nplm'`",
        ),
        ({"order": 3}, "`order` applies only to `model='ngram'`, but model is 'rnn'; leave out `order=3`"),
        ({"smoothing": "witten-bell"}, "`smoothing` applies only to `model='ngram'`"),
    ],
)
def test_options_of_another_model_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_options(Config.of(values, "this test"))


def test_options_of_the_model_and_of_texts_are_not(texts: tuple[str, str]) -> None:
    of_texts = {"level": "char", "lower": True, "max_tokens": 9, "vocab_order": "frequency", "min_count": 2}
    check_options(Config.of({**of_texts, "hidden": 7}, "this test"))
    check_options(
        Config.of({**of_texts, "model": "ngram", "order": 2, "smoothing": "witten-bell"}, "this test")
    )


def test_runs_from_before_ngrams_had_an_order_are_gone_on_with(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", vocab_order="frequency", iterations=3)
    run.train()
    path = run.folder / "config.toml"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    older = [line for line in lines if not line.startswith(("model =", "order =", "smoothing ="))]
    path.write_text("".join(older).replace("vocab_order", "order"), encoding="utf-8")
    assert 'order = "frequency"' in path.read_text("utf-8")
    resumed = TrainingRun.resume(run.folder, {"iterations": 5})
    assert resumed.config == Config.of(run.config.to_dict() | {"iterations": 5}, "this test")
