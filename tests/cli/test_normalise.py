"""`elman normalise`: text for models that rescore speech."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_last_sentences_of_each_file_are_held_out(command: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Mr. A ran. " * 40, encoding="utf-8")
    (tmp_path / "b.txt").write_text("B\nsat.\n\nC lay.\n", encoding="utf-8")
    outcome = command("normalise", "a.txt", "b.txt", "-o", "out.txt", "--valid-output", "valid.txt")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "a.txt: 40 sentences, 2 of them held out\nb.txt: 2 sentences, 0 of them held out\n"
    assert (tmp_path / "out.txt").read_text() == "MISTER A RAN\n" * 38 + "B SAT\nC LAY\n"
    assert (tmp_path / "valid.txt").read_text() == "MISTER A RAN\n" * 2


def test_standard_input_and_lines(command: Any, tmp_path: Path) -> None:
    outcome = command("normalise", "-", "--layout", "lines", "-o", "out.txt", stdin=b"a\nb\n")
    assert outcome.err == "standard input: 2 sentences\n"
    assert (tmp_path / "out.txt").read_text() == "A\nB\n"


def test_bad_input_leaves_no_file(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("...\n")
    (tmp_path / "a.txt").write_text("a\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert refused("normalise", "a.txt", "empty.txt", "-o", "out.txt") == "empty.txt contains no sentence"
    assert refused("normalise", "no.txt", "-o", "out.txt") == "no.txt: there is no such file"
    assert refused("normalise", "a.txt").startswith("name the file to write")
    assert refused("normalise", "-o", "out.txt").startswith("name one or more FILEs")
    assert refused("normalise", "a.txt", "-o", "out.txt", "--valid-output", "out.txt").startswith(
        "--valid-output must"
    )
    assert refused("normalise", "a.txt", "-o", "no/out.txt").startswith("cannot write no/out.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
