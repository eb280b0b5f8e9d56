"""Minimal pairs in files: what is read, and what is refused with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from elman.errors import TextError
from elman.evaluation.pair_files import Pair, read_pairs


def blimp(good: Any = "Ann left.", bad: Any = "Ann leave.", **fields: Any) -> str:
    return json.dumps({"sentence_good": good, "sentence_bad": bad, **fields})


def test_blimp_names_the_set_of_each_pair() -> None:
    lines = [blimp(UID="verbs", field="syntax"), "", blimp(phenomenon="other"), blimp()]
    found = list(read_pairs(lines, "some/file.jsonl"))
    assert [(pair.set, pair.line) for pair in found] == [("verbs", 1), ("other", 3), ("file", 4)]
    assert (found[0].good, found[0].bad) == ("Ann left.", "Ann leave.")
    assert next(read_pairs(lines, "file.jsonl", by="field")).set == "syntax"


def test_two_columns_are_one_set_with_or_without_a_header() -> None:
    rows = ["Ann left .\tAnn leave ."]
    expected = ("Ann left .", "Ann leave .", "verbs")
    for header in ([], ["good\tbad"], ["sentence_good\tsentence_bad"]):
        (pair,) = read_pairs(header + rows, "verbs.tsv")
        assert (pair.good, pair.bad, pair.set) == expected
        assert pair.line == len(header) + 1


def test_standard_input_tells_by_its_first_line() -> None:
    assert next(read_pairs(["", blimp()], "standard input")) == Pair(
        "Ann left.", "Ann leave.", "standard input", 2
    )
    assert next(read_pairs(["a\tb"], "standard input")).bad == "b"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"sentence_good": "a"', "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[1]", "is no JSON object"),
        ('{"sentence_good": "a"}', "has no field 'sentence_bad'; it has sentence_good"),
        (blimp(bad=3), "a sentence is expected, got 3"),
        (blimp(bad=" "), "a sentence is expected, got ' '"),
        (blimp(bad="a\nb"), "must stand on one line"),
        (blimp(bad="a\n"), "must stand on one line"),
        (blimp(bad="\ud800"), "half a character"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(line: str, words: str) -> None:
    with pytest.raises(TextError) as error:
        list(read_pairs([blimp(), "", line], "verbs.jsonl"))
    assert str(error.value).startswith("verbs.jsonl: line 3")
    assert words in str(error.value)


@pytest.mark.parametrize(("line", "words"), [("a", "1 column"), ("a\tb\tc", "3 columns"), ("a\t", "got ''")])
def test_columns_must_be_two(line: str, words: str) -> None:
    with pytest.raises(TextError, match=r"verbs\.tsv: line 2.*" + words):
        list(read_pairs(["good\tbad", line], "verbs.tsv"))


def test_a_set_needs_its_field() -> None:
    with pytest.raises(TextError, match="line 1 has no field 'term'"):
        list(read_pairs([blimp()], "verbs.jsonl", by="term"))
    with pytest.raises(TextError, match="leave --by out"):
        list(read_pairs(["a\tb"], "verbs.tsv", by="term"))


@pytest.mark.parametrize("lines", [[], ["", " "], ["good\tbad"]])
def test_a_file_without_pairs_is_an_error(lines: list[str]) -> None:
    with pytest.raises(TextError, match="holds no pair"):
        list(read_pairs(lines, "verbs.tsv"))


def test_the_sets_of_blimp_are_read(data: Any) -> None:
    folder: Path = data("blimp")
    for path in sorted(folder.glob("*.jsonl")):
        pairs = list(read_pairs(path.read_text("utf-8").splitlines(), str(path)))
        assert len(pairs) == 1000
        assert {pair.set for pair in pairs} == {path.stem}
