"""Make notebooks/LANGUAGE/PAGE.ipynb from every page of the tutorial: run ``python docs/make_notebooks.py``.

Programs become cells, without the output that the page shows; figures become the call that draws them; all else is
text. What needs ELMAN_DATA stays text, too. There is no public address of the repository, so links to other pages
become plain text. Cells are stored without outputs.

--check    write nothing; name each notebook that is out of date, and exit with 1 if there is one
--execute  run the notebooks, except their first cell, which installs elman; needs ``pip install nbclient ipykernel``
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LANGUAGES = ("en", "ko")
EXTRAS = "fast,plot,pandas,serve,rescore"
INSTALL = {
    "en": "In a clone of the repository, its folder is two levels up. In Colab, upload it as a zip file and name that.",
    "ko": "저장소를 복제했다면 두 단계 위가 그 폴더입니다. Colab에서는 zip 파일로 올리고 그 이름을 적으세요.",
}
FOLDER = {
    "en": "what this notebook writes goes to a temporary folder",
    "ko": "이 노트북이 쓰는 파일은 임시 폴더에 둡니다",
}
NEEDS_DATA = "<!-- needs ELMAN_DATA -->"
FENCE = re.compile(r"^(`{3,})(\w*)[^\n]*\n(.*?)^\1[ ]*$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
FIGURE = re.compile(r"^!\[[^\]]*\]\(\.\./\.\./images/figures/\w+/([\w-]+)\.svg\)$", re.MULTILINE)
PICTURE = re.compile(r"(!\[[^\]]*\])\(\.\./\.\./images/")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:)[^)\s]+\)")

Cell = tuple[str, str]  # "markdown" or "code", and the source


def main() -> int:
    """Write, check or execute the notebooks."""
    parser = argparse.ArgumentParser(description="Make the notebooks from the pages of the tutorial.")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a notebook is out of date")
    parser.add_argument("--execute", action="store_true", help="run the notebooks")
    parser.add_argument("--language", choices=LANGUAGES, help="run those of one language only")
    options = parser.parse_args()
    if options.execute:
        execute([options.language] if options.language else LANGUAGES)
    elif options.check:
        stale = out_of_date()
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run `python docs/make_notebooks.py`")
        return 1 if stale else 0
    else:
        made = notebooks()
        for path in out_of_date():
            if path in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(made[path], encoding="utf-8")
            else:
                path.unlink()
    return 0


def notebooks() -> dict[Path, str]:
    """Return the content of every notebook by its path."""
    return {
        ROOT / "notebooks" / language / f"{page.stem}.ipynb": notebook(page.read_text("utf-8"), language)
        for language in LANGUAGES
        for page in sorted((ROOT / "docs" / language / "tutorial").glob("[0-9]*.md"))
    }


def out_of_date() -> list[Path]:
    """Return the notebooks that differ from their page, are missing, or have no page."""
    made = notebooks()
    changed = [path for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text]
    return changed + [path for path in sorted((ROOT / "notebooks").rglob("*.ipynb")) if path not in made]


def notebook(page: str, language: str) -> str:
    """Return a page of the tutorial as a notebook, in JSON (nbformat 4.5)."""
    install = f'# {INSTALL[language]}\nsource = "../.."\n%pip install -q "{{source}}[{EXTRAS}]"'
    folder = f"import os\nimport tempfile\n\nos.chdir(tempfile.mkdtemp())  # {FOLDER[language]}"
    cells = [("code", install), ("code", folder), *cells_of(page, language)]
    content = {
        "cells": [_cell(number, kind, source) for number, (kind, source) in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _cell(number: int, kind: str, source: str) -> dict[str, object]:
    cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": source.splitlines(True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def cells_of(page: str, language: str) -> list[Cell]:
    """Return the cells of a page; neighbouring pieces of text are one cell."""
    cells: list[Cell] = []
    for kind, source in _pieces(page, language):
        if kind == "markdown" and cells and cells[-1][0] == "markdown":
            cells[-1] = (kind, f"{cells[-1][1]}\n\n{source}")
        else:
            cells.append((kind, source))
    return cells


def _pieces(page: str, language: str) -> Iterator[Cell]:
    end, after_program = 0, False
    for fence in FENCE.finditer(page):
        above, name = page[end : fence.start()], fence[2]
        yield from _prose(above, language)
        is_program = name == "python" and not above.rstrip().endswith(NEEDS_DATA)
        is_output = name == "text" and after_program and not COMMENT.sub("", above).strip()
        if is_program:
            yield "code", fence[3].rstrip("\n")
        elif not is_output:
            yield "markdown", fence[0]
        end, after_program = fence.end(), is_program
    yield from _prose(page[end:], language)


def _prose(text: str, language: str) -> Iterator[Cell]:
    for number, part in enumerate(FIGURE.split(COMMENT.sub("", text))):
        if number % 2:  # the name of a figure
            yield "code", f'from elman import figures\n\nfigures.chapter("{part}", lang="{language}")'
        elif part.strip():
            yield "markdown", LINK.sub(r"\1", PICTURE.sub(r"\1(../../docs/images/", part)).strip("\n")


def execute(languages: list[str] | tuple[str, ...]) -> None:
    """Run the notebooks of some languages, and print the seconds that each took."""
    import nbformat
    from nbclient import NotebookClient

    total = 0.0
    for path, text in notebooks().items():
        if path.parent.name not in languages:
            continue
        content = nbformat.reads(text, as_version=4)
        nbformat.validate(content)
        del content.cells[0]  # the installation
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            NotebookClient(content, timeout=300, resources={"metadata": {"path": folder}}).execute()
        seconds = time.monotonic() - start
        total += seconds
        print(f"{seconds:6.1f} s  {path.relative_to(ROOT)}", flush=True)
    print(f"{total:6.1f} s  in all")


if __name__ == "__main__":
    sys.exit(main())
