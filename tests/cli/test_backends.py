"""`--backend`, `--precision` and `--device` where torch is missing."""

import sys
from pathlib import Path
from typing import Any

import pytest

from support.command_line import SMALL
from support.runs import new_run

no_torch = pytest.mark.parametrize(
    "options", [("--backend", "torch"), ("--backend", "torch", "--device", "cuda")]
)


@pytest.fixture
def torch_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)


@no_torch
def test_missing_torch_is_a_one_line_error(
    torch_is_missing: None, refused: Any, story: Path, runs: Path, options: tuple[str, ...]
) -> None:
    for command in (("train", story, "-o", "run", *SMALL), ("eval", runs / "word", runs / "story.txt")):
        assert refused(*command, *options) == "torch is not installed; type: pip install 'elman[torch]'"
    assert not Path("run").exists()


def test_resume_uses_the_given_backend(
    torch_is_missing: None, tmp_path: Path, refused: Any, command: Any
) -> None:
    run = new_run(tmp_path / "run")
    run.train()
    config = run.folder / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('"numpy"', '"torch"'), encoding="utf-8")
    arguments = ("train", "--resume", run.folder, "--epochs", 4)
    assert "pip install 'elman[torch]'" in refused(*arguments)
    assert "add --backend torch" in refused(*arguments, "--backend", "numpy", "--precision", "bf16")
    assert command(*arguments, "--backend", "numpy").code == 0
    assert 'backend = "numpy"' in config.read_text(encoding="utf-8")
