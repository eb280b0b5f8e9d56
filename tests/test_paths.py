"""A path may be a str or a Path, with the same result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import elman
from elman.formats.metrics_log import Metrics, read_metrics
from elman.text import make_tokenizer
from elman.training.config import Config
from elman.training.ngram_run import train_ngram
from elman.training.run import TrainingRun
from support.ngrams import sentence_model
from support.tiny import STORY, text_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a text, a model and metrics."""
    (tmp_path / "a.txt").write_text(STORY, encoding="utf-8")
    elman.save_model(tmp_path / "m.safetensors", text_model())
    Metrics(tmp_path / "metrics.jsonl").write("run", seed=1)
    return tmp_path


def encoded(path: Any) -> Any:
    return elman.encode_corpus(path, make_tokenizer("word"), cache=None).tokens


READING: dict[str, Callable[[Any], Any]] = {
    "load": lambda folder: elman.load(folder / "m.safetensors").vocabulary,
    "encode_corpus": lambda folder: encoded(folder / "a.txt"),
    "read_metrics": read_metrics,
}


class Joined(str):
    """A str with which ``/`` joins paths, so that a test can build either kind in the same way."""

    def __truediv__(self, name: str) -> str:
        return f"{self}/{name}"


@pytest.mark.parametrize("name", READING)
def test_reading(folder: Path, name: str) -> None:
    assert READING[name](Joined(folder)) == READING[name](folder)


def test_several_files_of_either_kind(folder: Path) -> None:
    assert encoded([str(folder / "a.txt"), folder / "a.txt"]) == 2 * encoded(folder / "a.txt")


def test_a_cache_folder(folder: Path) -> None:
    for cache in (folder / "cache", str(folder / "cache")):
        corpus = elman.encode_corpus(folder / "a.txt", make_tokenizer("word"), cache=cache)
        assert corpus.tokens == encoded(folder / "a.txt")


@pytest.mark.parametrize(
    ("write", "model"),
    [(elman.save_model, text_model), (elman.write_arpa, sentence_model)],
)
def test_writing(tmp_path: Path, write: Any, model: Any) -> None:
    write(tmp_path / "a", model())
    write(str(tmp_path / "b"), model())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_metrics(tmp_path: Path) -> None:
    Metrics(str(tmp_path / "metrics.jsonl")).write("run", seed=1)
    assert [line["kind"] for line in read_metrics(tmp_path)] == ["run"]


def test_runs(folder: Path) -> None:
    options: dict[str, Any] = {"hidden": 4, "wordvec": 4, "batch_size": 2, "time_size": 4, "epochs": 1}
    for kind in (str, Path):
        run = TrainingRun.create(kind(folder / kind.__name__), kind(folder / "a.txt"), Config(**options))
        run.train()
        assert TrainingRun.resume(kind(folder / kind.__name__)).finished
        counted = train_ngram(
            kind(folder / f"n-{kind.__name__}"), kind(folder / "a.txt"), Config(model="ngram", order=2)
        )
        assert counted.folder == folder / f"n-{kind.__name__}"
