"""The pages about the source name what there is, and the picture of the packages shows their imports."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "elman"
EXPLANATIONS = [ROOT / "docs" / language / "explanation" for language in ("en", "ko")]
ARCHITECTURE = [folder / "architecture.md" for folder in EXPLANATIONS]
PROMISES = [folder / "promises.md" for folder in EXPLANATIONS]
PATH = re.compile(r"`([\w./-]*(?:/|\.(?:py|md|toml|json|yml|cff|svg)))`")
WRITTEN_BY_ELMAN = {"tokenizer.json"}  # into the folders of users


def missing_paths(text: str) -> list[str]:
    """Return the paths in backticks that exist neither in the repository nor in src/elman; NAME is a placeholder."""
    named = dict.fromkeys(PATH.findall(text))
    return [
        path
        for path in named
        if "NAME" not in path
        and path not in WRITTEN_BY_ELMAN
        and not (ROOT / path).exists()
        and not (SOURCE / path).exists()
    ]


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_architecture", ROOT / "docs" / "make_architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "page", [*ARCHITECTURE, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *PROMISES], ids=str
)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    assert missing_paths(page.read_text("utf-8")) == []


def test_every_test_that_ci_runs_exists() -> None:
    paths = re.findall(r"\btests/[\w./-]*", (ROOT / ".ci" / "run").read_text("utf-8"))
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_a_missing_path_is_noticed() -> None:
    assert missing_paths("`layers/lstm.py` `layers/` `no.py` `no/` `src/elman/no.py` `no`") == [
        "no.py",
        "no/",
        "src/elman/no.py",
    ]


@pytest.mark.parametrize("page", ARCHITECTURE, ids=str)
def test_the_page_names_every_package_and_module_at_the_top(page: Path) -> None:
    table = page.read_text("utf-8").split("\n## ")[2]
    names = [path.name + "/" for path in SOURCE.iterdir() if (path / "__init__.py").exists()]
    names += [path.name for path in SOURCE.glob("*.py")]
    assert [name for name in names if f"`{name}`" not in table] == []


def test_the_picture_shows_the_imports(script: ModuleType) -> None:
    drawn = set(re.findall(r'id="(\w+) imports (\w+)"', script.PICTURE.read_text("utf-8")))
    assert drawn == script.reduced(script.package_imports()), (
        "docs/images/architecture.svg is out of date: run python docs/make_architecture.py"
    )
