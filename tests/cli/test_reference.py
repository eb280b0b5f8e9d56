"""docs/en/reference/commands.md holds the current help of every command."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from elman.cli import COMMANDS

SCRIPT = Path(__file__).parents[2] / "docs" / "make_commands.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_commands", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_commands_is_up_to_date(script: ModuleType) -> None:
    # words only: where lines are broken is another matter in every version of click
    assert script.PAGE.read_text(encoding="utf-8").split() == script.page().split(), (
        "docs/en/reference/commands.md is out of date: run python docs/make_commands.py"
    )


def test_the_page_has_every_command(script: ModuleType) -> None:
    page = script.page()
    for name in COMMANDS:
        assert f"\n## elman {name}\n\n```text\nUsage: elman {name} " in page


def test_the_script_writes_the_page(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "PAGE", tmp_path / "en" / "commands.md")
    script.main()
    assert (tmp_path / "en" / "commands.md").read_text(encoding="utf-8") == script.page()
