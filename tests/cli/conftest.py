"""Fixtures for tests of the command line: running `elman` in this process or as another, and small trained runs."""

import io
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from elman.cli import main
from support.processes import kill_later, started
from support.runs import small_config
from support.tiny import STORY

KOREAN = "톰 은 방 에 있었다 . 메리 가 방 에 들어왔다 .\n애나 가 톰 에게 인사했다 .\n" * 4


@dataclass(frozen=True)
class Outcome:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run ``elman`` in this process, in the test's own folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: bytes | None = b"") -> Outcome:
        stream = None if stdin is None else io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stream)
        capsys.readouterr()
        code: Any = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def refused(command: Command) -> Callable[..., str]:
    """Run ``elman``, which must fail with exit code 1 and one line on standard error; return that line."""

    def run(*arguments: object, stdin: bytes | None = b"") -> str:
        outcome = command(*arguments, stdin=stdin)
        assert outcome.code == 1, outcome
        assert outcome.out == "", outcome
        lines = outcome.err.splitlines()
        assert len(lines) == 1, outcome.err
        assert lines[0].startswith("elman: ")
        return lines[0].removeprefix("elman: ")

    return run


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs word (closed vocabulary), open, char, jamo, byte and korean, and their texts."""
    from elman.training.run import TrainingRun

    folder = tmp_path_factory.mktemp("runs")
    (folder / "story.txt").write_text(STORY, encoding="utf-8")
    (folder / "korean.txt").write_text(KOREAN, encoding="utf-8")
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "word": ("story.txt", {}),
        "open": ("story.txt", {"min_count": 2}),
        "char": ("story.txt", {"level": "char"}),
        "jamo": ("korean.txt", {"level": "jamo"}),
        "byte": ("korean.txt", {"level": "byte"}),
        "korean": ("korean.txt", {"level": "char"}),
    }
    for name, (text, options) in kinds.items():
        run = TrainingRun.create(
            folder / name, str(folder / text), small_config(lr=0.02, epochs=12, **options)
        )
        run.train()
    return folder


@pytest.fixture
def story(tmp_path: Path) -> Path:
    """A short text in the test's own folder."""
    path = tmp_path / "story.txt"
    path.write_text(STORY, encoding="utf-8")
    return path


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start ``elman`` as a separate process, with pipes; it is killed if it hangs, and at the end of the test."""
    running: list[tuple[subprocess.Popen[bytes], threading.Timer]] = []

    def start(*arguments: object, encoding: str = "utf-8", **options: Any) -> subprocess.Popen[bytes]:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        made = started(*arguments, environment={"PYTHONIOENCODING": encoding}, **{**pipes, **options})
        running.append((made, kill_later(made)))
        return made

    yield start
    for made, timer in running:
        timer.cancel()
        made.kill()
        made.wait()
