"""A training that is killed, or interrupted by Ctrl-C, in a process of its own: nothing is lost."""

import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.errors import ElmanError
from elman.formats.model_file import read_arrays
from elman.training.config import Config
from elman.training.run import TrainingRun
from elman.training.run_folder import load_checkpoint
from support.processes import started
from support.tiny import STORY

PATIENCE = 60.0  # seconds that a process gets before the test gives it up
OPTIONS: dict[str, Any] = {
    "level": "char",
    "cell": "lstm",
    "wordvec": 16,
    "hidden": 48,
    "dropout": 0.2,
    "batch_size": 4,
    "time_size": 16,
    "optimizer": "adam",
    "schedule": "cosine",
    "report_every": 50,
    "epochs": 75,
    "checkpoint_every": 0.05,
}
Given = tuple[str, TrainingRun]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """The corpus, and a run on it from beginning to end."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    corpus = folder / "corpus.txt"
    corpus.write_text(STORY * 5, encoding="utf-8")
    run = TrainingRun.create(folder / "run", str(corpus), Config.of(OPTIONS, "this test"))
    run.train()
    return str(corpus), run


def launch(*arguments: str) -> subprocess.Popen[str]:
    return started("train", *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def begin(corpus: str, folder: Path) -> subprocess.Popen[str]:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    return launch(corpus, "-o", str(folder), "--overwrite", *options)


def resume(folder: Path) -> subprocess.Popen[str]:
    return launch("--resume", str(folder))


def saved_iterations(folder: Path) -> int:
    """How many iterations the last checkpoint holds; -1 before there is one."""
    try:
        return int(load_checkpoint(folder / "last.safetensors").training["progress"]["iteration"])
    except ElmanError:
        return -1


def wait_until_it_trains(process: subprocess.Popen[str], folder: Path) -> int:
    """Return how many iterations its first own checkpoint holds; as many as before where it ends first."""
    before = saved_iterations(folder)
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        found = saved_iterations(folder)
        if found > max(before, 0):
            return found
        time.sleep(0.01)
    return before


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process; return its exit code and what it wrote to standard error."""
    try:
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, errors


def assert_same_run(folder: Path, expected: TrainingRun) -> None:
    ours, theirs = (read_arrays(each / "last.safetensors")[0] for each in (folder, expected.folder))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert np.array_equal(ours[name], theirs[name]), name
    for name in expected.trainer.model.weights:
        assert np.array_equal(ours[name], expected.trainer.model.weights[name]), name
    assert (folder / "model.safetensors").read_bytes() == (expected.folder / "model.safetensors").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == sorted(p.name for p in expected.folder.iterdir())


def test_a_run_killed_again_and_again_ends_as_one_that_was_not(uninterrupted: Given, tmp_path: Path) -> None:
    corpus, expected = uninterrupted
    folder, moments = tmp_path / "run", random.Random(0)
    survived = 0
    process = begin(corpus, folder)
    for _ in range(5):
        survived += wait_until_it_trains(process, folder) > 0
        time.sleep(moments.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        end(process)
        begun = saved_iterations(folder) >= 0
        process = resume(folder) if begun else begin(corpus, folder)
    code, errors = end(process)
    assert code == 0 or "is finished" in errors, errors
    assert survived  # at least once it was killed in the middle of its training
    assert_same_run(folder, expected)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_itself_and_says_how_to_go_on(
    uninterrupted: Given, tmp_path: Path, number: signal.Signals
) -> None:
    corpus, expected = uninterrupted
    folder = tmp_path / "run"
    process = begin(corpus, folder)
    seen = wait_until_it_trains(process, folder)
    process.send_signal(number)
    code, errors = end(process)
    assert code == 130, errors
    assert f"elman train --resume {folder}" in errors
    assert "Traceback" not in errors
    stopped_at = saved_iterations(folder)
    assert f"after iteration {stopped_at}" in errors
    assert seen <= stopped_at < expected.trainer.progress.iteration
    TrainingRun.resume(folder).train()
    assert_same_run(folder, expected)
