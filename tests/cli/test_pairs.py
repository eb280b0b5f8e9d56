"""`elman pairs`: tables, JSON and scores, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.formats.model_file import save_model
from elman.text_model import load
from support.ngrams import sentence_model

Refused = Callable[..., str]
GOOD, BAD = "Tom was watching tv in his room.", "Tom was tv watching in his room."
PAIRS = [
    (GOOD, BAD, "order"),
    ("Mary came into his room.", "Mary came into room his.", "order"),
    (GOOD, GOOD, "same"),
]


@pytest.fixture(autouse=True)
def _model(command: Any) -> None:
    """Keep a model of small letters in model.safetensors, and pairs in pairs.jsonl and pairs.tsv."""
    save_model("model.safetensors", sentence_model())
    rows = [{"sentence_good": good, "sentence_bad": bad, "UID": uid} for good, bad, uid in PAIRS]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    Path("pairs.tsv").write_text("".join(f"{good}\t{bad}\n" for good, bad, _ in PAIRS), encoding="utf-8")


def test_the_table_has_a_row_for_each_set_and_one_for_all(command: Any) -> None:
    outcome = command("pairs", "model.safetensors", "pairs.jsonl")
    assert (outcome.code, outcome.err) == (0, "")
    table, definition = outcome.out.split("\n\n")
    head, *rows = table.splitlines()
    assert head.split()[:4] == ["set", "pairs", "right", "accuracy"]
    assert [row.split()[:4] for row in rows] == [
        ["order", "2", "2", "100.0%"],
        ["same", "1", "0", "0.0%"],
        ["all", "3", "2", "66.7%"],
    ]
    assert rows[2].split()[4:] == ["20.8", "to", "93.9", "1", "0", "66.7%"]
    assert "spelling  lower case; punctuation separated from words" in definition


def test_json_and_table_agree(command: Any) -> None:
    found = json.loads(
        command("pairs", "model.safetensors", "pairs.tsv", "-", "--json", stdin=b"tom\txx\n").out
    )
    assert [each["set"] for each in found["sets"]] == ["pairs", "standard input"]
    assert found["sets"][1]["unknown_pairs"] == 1
    assert found["sets"][1]["accuracy_without_unknown"] is None
    assert (found["all"]["pairs"], found["all"]["right"], found["all"]["ties"]) == (4, 3, 1)
    assert found["all"]["accuracy"] == 0.75
    assert (found["case"], found["punctuation"], found["normalize"]) == ("lower", "split", "none")


def test_all_pairs_are_written_as_they_were_read(command: Any) -> None:
    assert command("pairs", "model.safetensors", "pairs.jsonl", "--per-pair", "all.tsv").code == 0
    head, *rows = (line.split("\t") for line in Path("all.tsv").read_text("utf-8").splitlines())
    first = dict(zip(head, rows[0], strict=True))
    assert (first["set"], first["line"], first["right"], first["unknown"]) == ("order", "1", "1", "0")
    assert first["good"] == "tom was watching tv in his room ."
    score = load("model.safetensors").score(first["good"])
    assert float(first["good_ln_prob"]) == pytest.approx(score * 2.302585, abs=1e-3)
    difference = float(first["good_ln_prob"]) - float(first["bad_ln_prob"])
    assert float(first["difference"]) == pytest.approx(difference, abs=2e-4)
    assert [row[5] for row in rows] == ["1", "1", "0"]


def test_sentences_may_be_left_as_they_are(command: Any) -> None:
    found = json.loads(
        command(
            *("pairs", "model.safetensors", "pairs.jsonl", "--json", "--case", "asis"),
            *("--punctuation", "asis", "--normalize", "token"),
        ).out
    )
    assert (found["case"], found["punctuation"], found["normalize"]) == ("asis", "asis", "token")
    assert (found["all"]["unknown_pairs"], found["all"]["ties"]) == (3, 3)


def test_unreadable_file_is_a_one_line_error(refused: Refused) -> None:
    Path("bad.jsonl").write_text('{"sentence_good": "a", "sentence_bad": "b"}\n{"sentence_good"\n', "utf-8")
    assert refused("pairs", "model.safetensors", "bad.jsonl").startswith(
        "bad.jsonl: line 2 is not valid JSON"
    )
    assert "there is no such file" in refused("pairs", "model.safetensors", "none.tsv")
    message = refused("pairs", "model.safetensors", "-", stdin=b"one column\n")
    assert message.startswith("standard input: line 1 has 1 column")
    message = refused("pairs", "model.safetensors", "pairs.jsonl", "--by", "term")
    assert message == "pairs.jsonl: line 1 has no field 'term'; it has sentence_good, sentence_bad, UID"


def test_several_models_are_compared(command: Any) -> None:
    save_model("other.safetensors", sentence_model("tom was tv watching in his room .\n" * 3))
    names = ("model.safetensors", "other.safetensors")
    outcome = command("pairs", *names, "pairs.jsonl", "--per-pair", "all.tsv")
    assert outcome.code == 0
    table, differences, definition = outcome.out.split("\n\n")
    assert [row.split()[:2] for row in table.splitlines()[1:]] == [
        [n, s] for n in names for s in ("order", "same", "all")
    ]
    assert differences.splitlines()[1].split()[:2] == [*names]
    assert "McNemar" in definition
    head, *rows = (line.split("\t") for line in Path("all.tsv").read_text("utf-8").splitlines())
    assert head[0] == "model"
    assert [row[0] for row in rows] == [name for name in names for _ in range(3)]
    found = json.loads(command("pairs", *names, "pairs.jsonl", "--json").out)
    assert [each["model"] for each in found["models"]] == [*names]
    (difference,) = found["differences"]
    right = [each["all"]["right"] for each in found["models"]]
    assert difference["difference"] == pytest.approx((right[0] - right[1]) / 3)
    assert difference["low"] <= difference["difference"] <= difference["high"]


def test_models_and_files_are_told_apart(refused: Refused) -> None:
    save_model("other.safetensors", sentence_model())
    names = ("model.safetensors", "other.safetensors")
    assert refused("pairs", *names).endswith(
        "name a FILE of pairs after model.safetensors other.safetensors, or - for standard input"
    )
    assert refused("pairs", names[0], "pairs.jsonl", names[1]).endswith(
        "other.safetensors is a model, but comes after the FILE pairs.jsonl; name all RUNs first"
    )
    assert "missing" in refused("pairs", names[0], "missing", "pairs.jsonl")
