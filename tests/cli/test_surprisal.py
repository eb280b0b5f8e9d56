"""`elman surprisal`: a table of words."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

KOREAN = "톰 은  방 에 있었다 .\n\n메리 가\n"
ENGLISH = "tom was  asleep .\n\n mary was reading\n"
COLUMNS = [
    "sentence",
    "position",
    "word",
    "surprisal_bits",
    "entropy_bits",
    "rank",
    "probability",
    "unknown",
    "start",
    "end",
]


def rows(text: str) -> list[dict[str, str]]:
    head, *lines = text.split("\n")[:-1]
    assert head.split("\t") == COLUMNS
    return [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in lines]


@pytest.mark.parametrize(
    ("name", "text"),
    [("word", ENGLISH), ("char", ENGLISH), ("jamo", KOREAN), ("byte", KOREAN), ("korean", KOREAN)],
)
@pytest.mark.parametrize(("context", "state"), [("sentence", "reset"), ("document", "carry")])
def test_surprisals_add_up_to_scores_and_places_are_right(
    command: Any, runs: Path, name: str, text: str, context: str, state: str
) -> None:
    outcome = command("surprisal", runs / name, "--context", context, stdin=text.encode())
    assert outcome.code == 0
    assert outcome.err in ("", "spelling: lower case; punctuation separated from words\n")
    scores = command("score", runs / name, "--json", "--state", state, stdin=text.encode()).out.splitlines()
    found = rows(outcome.out)
    for number, (line, score) in enumerate(zip(text.splitlines(), map(json.loads, scores), strict=True), 1):
        of_line = [row for row in found if row["sentence"] == str(number)]
        assert [row["word"] for row in of_line] == [*line.split(), "<eos>"]
        assert [line[int(row["start"]) : int(row["end"])] for row in of_line] == [*line.split(), ""]
        assert [int(row["position"]) for row in of_line] == list(range(1, len(of_line) + 1))
        bits = sum(float(row["surprisal_bits"]) for row in of_line)
        assert bits * math.log(2) == pytest.approx(-score["ln_prob"], abs=1e-4)
    for row in found:
        assert float(row["probability"]) == pytest.approx(2 ** -float(row["surprisal_bits"]), rel=1e-4)
        assert float(row["entropy_bits"]) > 0
        assert int(row["rank"]) >= 1


def test_json_has_the_same_numbers(command: Any, runs: Path) -> None:
    table = rows(command("surprisal", runs / "word", stdin=ENGLISH.encode()).out)
    lines = command("surprisal", runs / "word", "--json", stdin=ENGLISH.encode()).out.splitlines()
    for row, values in zip(table, map(json.loads, lines), strict=True):
        assert set(values) == set(COLUMNS)
        assert f"{values['surprisal_bits']:.6f}" == row["surprisal_bits"]
        assert (values["word"], values["start"]) == (row["word"], int(row["start"]))


def test_output_file_is_written_whole_or_not_at_all(command: Any, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(ENGLISH, encoding="utf-8")
    written = command("surprisal", runs / "word", "text.txt", "-o", "out.tsv")
    assert (written.code, written.out) == (0, "")
    whole = (tmp_path / "out.tsv").read_text(encoding="utf-8")
    assert whole == command("surprisal", runs / "word", "text.txt").out
    failed = command("surprisal", runs / "word", "-o", "out.tsv", stdin=b"tom was\ntom \xff\n")
    assert failed.code == 1
    assert "byte 0xff at offset 12 (line 2) is not utf-8" in failed.err
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8") == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tsv", "text.txt"]


def test_lines_before_a_wrong_byte_are_printed(command: Any, runs: Path) -> None:
    outcome = command("surprisal", runs / "word", stdin=b"tom was\ntom \xff\n")
    assert outcome.code == 1
    assert [row["word"] for row in rows(outcome.out)] == ["tom", "was", "<eos>"]


def test_unknown_word_of_a_closed_vocabulary(command: Any, runs: Path) -> None:
    outcome = command("surprisal", runs / "word", stdin=b"tom yodelled\n")
    row = rows(outcome.out)[1]
    assert [row[name] for name in ("surprisal_bits", "rank", "probability", "unknown")] == [
        "inf",
        "0",
        "0",
        "1",
    ]
    assert "which has no <unk>: 1;" in outcome.err
    assert rows(command("surprisal", runs / "open", stdin=b"tom yodelled\n").out)[1]["unknown"] == "1"


def test_unwritable_output_is_refused(refused: Any, runs: Path, tmp_path: Path) -> None:
    message = refused("surprisal", runs / "word", "-o", "gone/out.tsv", stdin=b"tom\n")
    assert message == "there is no folder gone to write out.tsv in"
    assert refused("surprisal", runs / "word", "-o", tmp_path, stdin=b"tom\n").endswith(
        "is a folder; name a file"
    )


def test_the_other_columns_of_a_table_are_kept(command: Any, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text('item,text\n7,"tom was , asleep"\n8,mary\n', encoding="utf-8")
    outcome = command("surprisal", runs / "open", "items.csv", "--column", "text")
    head, *lines = outcome.out.splitlines()
    assert head.split("\t") == [*COLUMNS, "item"]
    assert [line.split("\t")[-1] for line in lines] == ["7"] * 5 + ["8"] * 2
    (tmp_path / "items.csv").write_text("item\n", encoding="utf-8")
    outcome = command("surprisal", runs / "open", "items.csv", "--column", "text")
    assert outcome.err == "elman: items.csv has no column 'text'; its columns: 'item'\n"


def test_a_row_may_be_a_token(command: Any, runs: Path) -> None:
    out = command("surprisal", runs / "char", "--per", "token", stdin=b"tom\n").out
    assert [line.split("\t")[1] for line in out.splitlines()[1:4]] == ["t", "o", "m"]
