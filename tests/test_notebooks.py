"""The notebooks are those of the current pages, and every part of a page becomes the right cell."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parent.parent / "docs" / "make_notebooks.py"
PAGE = """# 1. A page

See [the glossary](../reference/glossary.md), [part two](#two) and [a site](https://example.org).

![A window](../../images/figures/en/cbow-windows.svg)

![The server](../../images/page.png)

```python
print(1)
```

<!-- output varies -->
```text
1
```

## Two

```sh
elman train [x](y)
```

<!-- needs ELMAN_DATA -->
```python
print(2)
```

```text
2
```
"""


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_notebooks", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notebooks_are_current(script: ModuleType) -> None:
    names = [str(path.relative_to(script.ROOT)) for path in script.out_of_date()]
    assert names == [], "out of date: run `python docs/make_notebooks.py`"


def test_every_part_of_a_page_becomes_its_cell(script: ModuleType) -> None:
    assert script.cells_of(PAGE, "en") == [
        ("markdown", "# 1. A page\n\nSee the glossary, part two and [a site](https://example.org)."),
        ("code", 'from elman import figures\n\nfigures.chapter("cbow-windows", lang="en")'),
        ("markdown", "![The server](../../docs/images/page.png)"),
        ("code", "print(1)"),
        (
            "markdown",
            "## Two\n\n```sh\nelman train [x](y)\n```\n\n```python\nprint(2)\n```\n\n```text\n2\n```",
        ),
    ]


def test_a_notebook_begins_with_the_installation_and_has_no_outputs(script: ModuleType) -> None:
    content = json.loads(script.notebook(PAGE, "en"))
    install, folder, title = content["cells"][:3]
    assert '%pip install -q "{source}[fast,' in "".join(install["source"])
    assert "os.chdir(tempfile.mkdtemp())" in "".join(folder["source"])
    assert title["source"][0] == "# 1. A page\n"
    assert [cell["id"] for cell in content["cells"]] == [f"cell-{i}" for i in range(len(content["cells"]))]
    assert all(cell["outputs"] == [] for cell in content["cells"] if cell["cell_type"] == "code")


def test_changed_missing_and_surplus_notebooks_are_found_and_written(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "ROOT", tmp_path)
    for language in script.LANGUAGES:
        (tmp_path / "docs" / language / "tutorial").mkdir(parents=True)
        (tmp_path / "docs" / language / "tutorial" / "1-a.md").write_text("# 1. A\n", "utf-8")
    surplus = tmp_path / "notebooks" / "en" / "2-b.ipynb"
    surplus.parent.mkdir(parents=True)
    surplus.write_text("{}", "utf-8")

    monkeypatch.setattr("sys.argv", ["make_notebooks.py", "--check"])
    assert script.main() == 1
    assert "notebooks/en/2-b.ipynb is out of date" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["make_notebooks.py"])
    assert script.main() == 0
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.ipynb")) == [
        "notebooks/en/1-a.ipynb",
        "notebooks/ko/1-a.ipynb",
    ]
    monkeypatch.setattr("sys.argv", ["make_notebooks.py", "--check"])
    assert script.main() == 0
    assert capsys.readouterr().out == ""
