"""The launcher of several processes, without starting any: Ctrl-C, errors, and what cannot be started."""

import signal
from pathlib import Path
from typing import Any

import pytest

from elman.errors import ConfigError, MissingExtra, RunError
from elman.training import processes
from elman.training.interrupts import TrainingInterrupted
from elman.training.processes import check_processes, train_in_processes
from support.runs import new_run


class Launcher:
    """A launcher that ends with a code, after Ctrl-C has interrupted the waiting for it."""

    started: list[str]

    def __init__(self, code: int, interrupts: int = 0) -> None:
        self.code, self.interrupts = code, interrupts
        self.signals: list[int] = []

    def __call__(self, words: list[str], **how: Any) -> "Launcher":
        self.started = words
        return self

    def wait(self) -> int:
        if len(self.signals) < self.interrupts:
            raise KeyboardInterrupt
        return self.code

    def send_signal(self, number: int) -> None:
        self.signals.append(number)


def start(monkeypatch: pytest.MonkeyPatch, launcher: Launcher, folder: Path) -> None:
    monkeypatch.setattr(processes.subprocess, "Popen", launcher)
    train_in_processes(folder, 3, 40.0, progress=False)


def test_the_processes_resume_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = Launcher(0)
    start(monkeypatch, launcher, Path("run"))
    words = ["elman.training.processes", "3", "train", "--resume", "run", "--rank-timeout", "40", "--quiet"]
    assert launcher.started[2:] == words
    assert launcher.signals == []


def test_ctrl_c_is_passed_on_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    launcher = Launcher(130, interrupts=1)
    with pytest.raises(TrainingInterrupted) as stopped:
        start(monkeypatch, launcher, run.folder)
    assert launcher.signals == [signal.SIGINT]
    assert stopped.value.iteration == 0


def test_a_second_ctrl_c_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = Launcher(130, interrupts=2)
    with pytest.raises(KeyboardInterrupt):
        start(monkeypatch, launcher, Path("run"))
    assert launcher.signals == [signal.SIGINT, signal.SIGTERM]


def test_a_failure_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError) as raised:
        start(monkeypatch, Launcher(1), Path("run"))
    assert str(raised.value) == (
        "the training in 3 processes has failed; their messages are above. The last checkpoint is in run"
    )


def test_what_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="`processes` must be an integer ≥ 1, got -1"):
        check_processes(-1, None)
    with pytest.raises(ConfigError, match="other processes cannot call a `callback`"):
        check_processes(2, print)
    monkeypatch.setattr(processes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtra, match=r"PyTorch is not installed; type: pip install 'elman\[distributed\]'"
    ):
        check_processes(2, None)
