"""docs/{en,ko}/reference/commands.md hold the current help of every command."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

from elman.cli import COMMANDS

SCRIPT = Path(__file__).parents[2] / "docs" / "make_commands.py"
USAGE = {"en": "Usage:", "ko": "사용법:"}


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_commands", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("language", USAGE)
def test_the_page_of_commands_is_up_to_date(script: ModuleType, language: str) -> None:
    # words only: where lines are broken is another matter in every version of click
    assert script.place(language).read_text(encoding="utf-8").split() == script.page(language).split(), (
        f"docs/{language}/reference/commands.md is out of date: run python docs/make_commands.py"
    )


@pytest.mark.parametrize("language", USAGE)
def test_the_page_has_every_command(script: ModuleType, language: str) -> None:
    page = script.page(language)
    for name in COMMANDS:
        assert f"\n## elman {name}\n\n```text\n{USAGE[language]} elman {name} " in page


def test_the_script_writes_the_pages(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "DOCS", tmp_path)
    monkeypatch.setenv("ELMAN_LANG", "en")
    script.main()
    for language in USAGE:
        assert script.place(language).read_text(encoding="utf-8") == script.page(language)
    assert os.environ["ELMAN_LANG"] == "en"
