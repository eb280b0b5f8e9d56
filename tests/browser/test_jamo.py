"""Letters of Hangul syllables on the page: drawn one by one, and put together where one is appended."""

from pathlib import Path
from typing import Any

import pytest

from elman.cli import main


@pytest.fixture(scope="module")
def spelling(tmp_path_factory: pytest.TempPathFactory, serve: Any) -> Any:
    """A server of n-grams of letters, which continue a text in the one way that they have seen."""
    folder: Path = tmp_path_factory.mktemp("jamo")
    (folder / "text.txt").write_text("한글 책 값\n" * 9, encoding="utf-8")
    options = ("--level", "jamo", "--model", "ngram", "--order", "4")
    main(["train", str(folder / "text.txt"), "-q", "-o", str(folder / "run"), *options])
    return serve(folder / "run")


def test_syllables_are_drawn_and_continued_by_letters(visit: Any, spelling: Any) -> None:
    page = visit(spelling.address).open()
    page.write("값\n하")
    shown = "#panel-write .tokens .token"
    assert page.texts(shown) == ["ㄱ", "ㅏ", "ㅄ", "⏎\n", "ㅎ", "ㅏ"]
    page.show("next")
    page.until("document.querySelector('#next-bar-0 .bar-name').textContent === '-ㄴ'")
    page.click("#next-bar-0")
    page.until("elman.app.store.get('scored')?.tokens.length === 7")
    assert page.texts(shown)[4:] == ["ㅎ", "ㅏ", "ㄴ"]
    assert page.js("return elman.app.store.get('text').normalize()") == "값\n한"
    page.js("elman.app.store.set('cursor', 5)")  # ㅏ, which follows ㅎ
    page.until("document.querySelector('#next-note').textContent.includes('ㅏ')")
    page.until("document.querySelector('#next-bar-0 .bar-name').textContent === 'ㅏ'")
