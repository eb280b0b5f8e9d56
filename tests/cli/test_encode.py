"""`elman encode`, and `elman score --ray` where Ray is missing."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def text(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("you say goodbye\nand I say hello\n" * 20)


def test_encode_then_train(command: Any, refused: Refused) -> None:
    found = command("encode", "text.txt", "-o", "ids", "--level", "char", "--processes", "1")
    assert found.out == "ids: 640 tokens, 0 unknown, vocabulary 15, 640 bytes of text\n"
    found = command("train", "ids", "-o", "run", "--hidden", "4", "--epochs", "1")
    assert "per char" in found.out
    assert refused("train", "ids", "-o", "run", "--overwrite", "--hidden", "4", "--level", "word") == (
        "--level word does not fit ids, which was encoded with --level char; leave it out, or encode the text again"
    )
    assert refused("encode", "text.txt", "-o", "ids").endswith(
        "replace it with --overwrite, or choose another folder"
    )
    assert refused("eval", "run", "ids") == (
        "ids is an encoded corpus, which only `elman train` reads; name the text itself"
    )


def test_what_is_missing(refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused("encode", "text.txt") == "name the folder to write: -o FOLDER"
    (tmp_path / "page.parquet").write_bytes(b"PAR1 and so on")
    assert refused("encode", "page.parquet", "-o", "ids") == (
        "page.parquet is a Parquet file; name the column of the text: --column text"
    )
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert refused("encode", "page.parquet", "-o", "ids", "--column", "text") == (
        "pyarrow is not installed; type: pip install 'elman[parquet]'"
    )


def test_scoring_on_a_cluster_is_refused(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    score = ("score", "run", "text.txt", "--ray", "auto")
    assert refused(*score, "--top", "3") == "--ray and --top cannot be used together; leave one out"
    assert refused("score", "run", "-", "--ray", "auto") == (
        "every node reads the text by itself; name a FILE instead of standard input"
    )
    monkeypatch.setitem(sys.modules, "ray", None)
    assert refused(*score) == "ray is not installed; type: pip install 'elman[ray]'"
