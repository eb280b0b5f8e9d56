"""A training that is killed at any point, or interrupted by Ctrl-C, in its own process: nothing is lost."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.formats.model_file import read_arrays
from elman.text_model import load
from elman.training.config import Config
from elman.training.run import TrainingRun
from elman.training.run_folder import load_checkpoint
from elman.training.runs import open_run
from support.paused import Paused
from support.runs import FILES, names
from support.tiny import STORY

OPTIONS: dict[str, Any] = {
    "level": "char",
    "cell": "lstm",
    "wordvec": 16,
    "hidden": 24,
    "dropout": 0.2,
    "batch_size": 4,
    "time_size": 16,
    "optimizer": "adam",
    "schedule": "cosine",
    "report_every": 5,
    "epochs": 6,
    "checkpoint_every": 1e-6,  # after every block
}
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
Given = tuple[str, TrainingRun]
pytestmark = pytest.mark.timeout(600)  # a test starts up to six processes


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """The corpus, and a run on it from beginning to end."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    corpus = folder / "corpus.txt"
    corpus.write_text(STORY * 3, encoding="utf-8")
    run = TrainingRun.create(folder / "run", str(corpus), Config.of(OPTIONS, "this test"))
    run.train()
    return str(corpus), run


def begin(point: str, corpus: str, folder: Path) -> Paused:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    return Paused(point, "train", corpus, "-o", folder, "--overwrite", *options)


def resume(point: str, folder: Path) -> Paused:
    return Paused(point, "train", "--resume", folder)


def saved_iterations(folder: Path) -> int:
    return int(load_checkpoint(folder / "last.safetensors").training["progress"]["iteration"])


def assert_same_run(folder: Path, expected: TrainingRun) -> None:
    ours, theirs = (read_arrays(each / "last.safetensors")[0] for each in (folder, expected.folder))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert np.array_equal(ours[name], theirs[name]), name
    for name in expected.trainer.model.weights:
        assert np.array_equal(ours[name], expected.trainer.model.weights[name]), name
    assert (folder / "model.safetensors").read_bytes() == (expected.folder / "model.safetensors").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == sorted(p.name for p in expected.folder.iterdir())


@pytest.mark.slow
def test_a_run_killed_at_every_kind_of_point_ends_as_one_that_was_not(
    uninterrupted: Given, tmp_path: Path
) -> None:
    corpus, expected = uninterrupted
    folder = tmp_path / "run"
    begin("block:3", corpus, folder).kill()
    reached = saved_iterations(folder)
    for point in ("block:9", "metrics:4", "flush:6", "rename:7", "checkpoint:5"):
        resume(point, folder).kill()
        before, reached = reached, saved_iterations(folder)
        assert before < reached < expected.trainer.progress.iteration, point
    TrainingRun.resume(folder).train()
    assert_same_run(folder, expected)


def test_a_run_killed_before_its_first_checkpoint_can_be_begun_again(
    uninterrupted: Given, tmp_path: Path
) -> None:
    corpus, expected = uninterrupted
    folder = tmp_path / "run"
    begin("metrics:1", corpus, folder).kill()
    assert not (folder / "last.safetensors").exists()
    begin("block:1", corpus, folder).kill()
    TrainingRun.resume(folder).train()
    assert_same_run(folder, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "kept"),
    [
        ("metrics:1", "old"),  # the first line of the new run's metrics
        ("rename:4", "old"),  # all of it is complete
        ("rename:5", "new"),  # it has replaced the old run, and its files are being moved up
        ("rename:7", "new"),
    ],
)
def test_a_run_killed_while_it_replaces_another_leaves_the_one_or_the_other(
    uninterrupted: Given, tmp_path: Path, point: str, kept: str
) -> None:
    corpus, expected = uninterrupted
    folder = tmp_path / "run"
    old = TrainingRun.create(
        folder, corpus, Config.of({**OPTIONS, "hidden": 8, "iterations": 3}, "this test")
    )
    old.train()
    before = {name: (folder / name).read_bytes() for name in FILES}
    begin(point, corpus, folder).kill()
    hidden = 8 if kept == "old" else OPTIONS["hidden"]
    assert load(folder).model.hidden_size == hidden  # readers see one run, too
    assert open_run(folder).options["hidden"] == hidden
    if kept == "old":
        assert {name: (folder / name).read_bytes() for name in FILES} == before
        resumed = TrainingRun.resume(folder, {"iterations": 5})
        assert names(folder) == sorted(FILES)
        assert resumed.trainer.progress.iteration == 3
        return
    TrainingRun.resume(folder).train()
    assert_same_run(folder, expected)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_run_saves_itself_and_prints_how_to_resume(
    uninterrupted: Given, tmp_path: Path, number: signal.Signals
) -> None:
    corpus, expected = uninterrupted
    folder = tmp_path / "run"
    code, errors = begin("block:20", corpus, folder).signal_and_continue(number)
    assert code == 130, errors
    assert f"elman train --resume {folder}" in errors
    assert "Traceback" not in errors
    assert "after iteration 20" in errors
    assert saved_iterations(folder) == 20 < expected.trainer.progress.iteration
    TrainingRun.resume(folder).train()
    assert_same_run(folder, expected)
