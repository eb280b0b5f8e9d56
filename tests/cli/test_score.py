"""`elman score`: lines and tokens, and that the parts make the whole."""

import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.cli.inputs import text_argument
from elman.text.sources import read_line_groups, read_lines
from elman.text_model import load
from support.tiny import STORY
from support.waiting import LONG

LINES = STORY.splitlines()
KOREAN_LINE = "메리 가 방 에 있었다 ."


def rows(text: str) -> list[dict[str, str]]:
    head, *lines = text.split("\n")[:-1]
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]


@pytest.fixture
def scored(command: Any, runs: Path) -> Callable[..., Any]:
    """Score a text with one of the runs, as JSON."""

    def run(name: str, text: str, *options: str) -> list[dict[str, Any]]:
        outcome = command("score", runs / name, "--json", *options, stdin=text.encode())
        assert outcome.code == 0
        return [json.loads(line) for line in outcome.out.splitlines()]

    return run


@pytest.mark.parametrize("name", ["word", "open", "char", "jamo", "byte", "korean"])
def test_the_surprisals_of_a_line_add_up_to_its_probability(scored: Any, name: str) -> None:
    text = (
        f"{KOREAN_LINE}\n\n톰 은 방 에\n"
        if name in ("jamo", "byte", "korean")
        else "tom was singing\n\nmary said hi .\n"
    )
    whole, parts = scored(name, text), scored(name, text, "--per-token")
    assert len(whole) == 3
    for number, line in enumerate(whole, 1):
        tokens = [part for part in parts if part["line"] == number]
        bits = sum(token["surprisal_bits"] for token in tokens)
        assert line["tokens"] == len(tokens)
        assert line["ln_prob"] == pytest.approx(-bits * math.log(2), rel=1e-5)
        assert line["log10_prob"] == pytest.approx(line["ln_prob"] / math.log(10))
        assert line["perplexity"] == pytest.approx(2 ** (bits / len(tokens)), rel=1e-5)


@pytest.mark.parametrize("name", ["word", "open", "char", "byte"])
def test_the_score_of_a_line_is_its_evaluation(command: Any, scored: Any, runs: Path, name: str) -> None:
    line = LINES[1] + "\n"
    (score,) = scored(name, line)
    found = json.loads(command("eval", runs / name, "-", "--json", stdin=line.encode()).out)
    assert score["ln_prob"] == pytest.approx(-found["nll_nats"])
    assert score["perplexity"] == pytest.approx(found["perplexity"])
    assert score["tokens"] == found["tokens"]


def test_the_first_word_is_scored_from_the_end_of_a_line_and_the_end_too(scored: Any, runs: Path) -> None:
    tokens = scored("word", "tom was\n", "--per-token")
    assert [token["token"] for token in tokens] == ["tom", "was", "<eos>"]
    text_model = load(runs / "word")
    start = text_model.model.feed([[text_model.start_id]], text_model.model.start())
    log_probs = text_model.model.next_log_probs(start)[0]
    tom = text_model.vocabulary.id("tom")
    assert tokens[0]["surprisal_bits"] == pytest.approx(-log_probs[tom] / math.log(2))
    assert tokens[0]["rank"] == 1 + int((log_probs > log_probs[tom]).sum())


def test_a_line_is_a_row_of_numbers_and_its_text(command: Any, scored: Any, runs: Path) -> None:
    text = "".join(f"{line}\n" for line in LINES[:2])
    found = rows(command("score", runs / "word", stdin=text.encode()).out)
    assert [row["text"] for row in found] == LINES[:2]
    for row, score in zip(found, scored("word", text), strict=True):
        assert row["ln_prob"] == f"{score['ln_prob']:.4f}"
        assert row["log10_prob"] == f"{score['log10_prob']:.4f}"
        assert row["perplexity"] == f"{score['perplexity']:.4f}"
        assert (row["tokens"], row["unknown"]) == (str(score["tokens"]), "0")


def test_a_token_is_a_row_with_its_rank(command: Any, runs: Path) -> None:
    found = rows(command("score", runs / "open", "--per-token", stdin=b"tom was happy\n").out)
    assert [row["token"] for row in found] == ["tom", "was", "happy", "<eos>"]
    assert [row["unknown"] for row in found] == ["0", "0", "1", "0"]
    assert all(1 <= int(row["rank"]) <= 24 for row in found)
    assert all(float(row["surprisal_bits"]) > 0 for row in found)


def test_every_token_stays_on_its_row(command: Any, runs: Path) -> None:
    found = rows(command("score", runs / "byte", "--per-token", stdin="가\tb\n".encode()).out)
    assert [row["token"] for row in found] == [r"\xea", r"\xb0", r"\x80", r"\t", "b", r"\n"]
    assert [
        row["token"] for row in rows(command("score", runs / "char", "--per-token", stdin=b"a a").out)
    ] == [
        "a",
        " ",
        "a",
        r"\n",
    ]
    found = rows(command("score", runs / "jamo", "--per-token", stdin="톰 가".encode()).out)
    assert [row["token"] for row in found] == ["ㅌ", "ㅗ", "-ㅁ", " ", "ㄱ", "ㅏ", r"\n"]


def test_an_empty_line_is_the_end_of_a_line(scored: Any) -> None:
    (score,) = scored("word", "\n")
    assert score["tokens"] == 1
    assert score["ln_prob"] < 0


@pytest.mark.parametrize("options", [[], ["--per-token"]])
def test_unknown_word_of_a_closed_vocabulary_gives_probability_0(
    command: Any, runs: Path, options: list[str]
) -> None:
    outcome = command("score", runs / "word", *options, stdin=b"tom was happy\ntom was asleep\n")
    assert outcome.code == 0
    infinite = [line for line in outcome.out.splitlines() if "inf" in line]
    assert len(infinite) == 1
    (line,) = outcome.err.splitlines()
    assert line.startswith("elman: lines with tokens that are not in the vocabulary, which has no <unk>: 1;")
    assert "--min-count 2" in line
    (first, second) = [
        json.loads(line)
        for line in command(
            "score", runs / "word", "--json", stdin=b"tom was happy\ntom was asleep\n"
        ).out.splitlines()
    ]
    assert first["ln_prob"] is None
    assert first["unknown"] == 1
    assert second["ln_prob"] < 0


def test_empty_input_prints_only_column_names(command: Any, runs: Path) -> None:
    outcome = command("score", runs / "word", stdin=b"")
    assert (outcome.code, outcome.err) == (0, "")
    assert len(outcome.out.splitlines()) == 1  # the names of the columns


def test_a_file_is_scored_line_by_line_whatever_its_line_ends(
    command: Any, runs: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_bytes(b"tom was asleep\r\n\r\nmary\rtom")
    found = rows(command("score", runs / "char", "text.txt").out)
    assert [row["text"] for row in found] == ["tom was asleep", "", "mary", "tom"]


def test_a_line_may_be_longer_than_what_is_read_at_a_time(tmp_path: Path) -> None:
    long = "tom " * 600_000
    (tmp_path / "text.txt").write_text(f"mary\n{long}\n\nbob", encoding="utf-8")
    assert list(read_lines(str(tmp_path / "text.txt"))) == ["mary", long, "", "bob"]


def test_lines_in_any_number_keep_their_order_and_their_scores(scored: Any) -> None:
    different = [" ".join(LINES[k % 4].split()[: k % 14]) for k in range(56)]
    alone = {line: scored("open", f"{line}\n")[0] for line in different[:14]}
    many = [different[k % 14] for k in range(3000)]
    found = scored("open", "".join(f"{line}\n" for line in many))
    assert [score["text"] for score in found] == many
    for score in found:
        if score["text"] in alone:
            assert score["ln_prob"] == pytest.approx(alone[score["text"]]["ln_prob"], rel=1e-6)


@pytest.mark.parametrize(("options", "rows_of_each"), [([], (1, 1, 2)), (["--per-token"], (4, 1, 4))])
def test_lines_are_scored_as_soon_as_they_arrive(
    process: Any, runs: Path, options: list[str], rows_of_each: tuple[int, ...]
) -> None:
    shown, expected = b"", 1  # the names of the columns
    with process("score", runs / "word", *options) as running:
        for text, count in zip((b"tom was asleep\n", b"\n", b"tom\nmary\n"), rows_of_each, strict=True):
            running.stdin.write(text)
            running.stdin.flush()
            expected += count
            while shown.count(b"\n") < expected:
                part = running.stdout.read1()
                assert part, "no scores for lines that were sent, though no other lines are on their way"
                shown += part
        rest, errors = running.communicate(timeout=LONG)
    assert (running.returncode, rest, errors) == (0, b"", b"")
    assert shown.count(b"\n") == expected


def test_the_lines_before_a_wrong_byte_are_scored(command: Any, runs: Path) -> None:
    outcome = command("score", runs / "word", stdin=b"tom was asleep\n" * 16 + b"tom \xe9\nmary\n")
    assert outcome.code == 1
    assert len(rows(outcome.out)) == 16
    (line,) = outcome.err.splitlines()
    assert "byte 0xe9 at offset 244 (line 17) is not utf-8" in line


def test_the_lines_of_a_file_come_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.txt").write_text("mary\n\n" * 300_000 + "tom", encoding="utf-8")
    groups = list(read_line_groups(str(tmp_path / "text.txt")))
    assert 1 < len(groups) < 10
    assert all(groups)
    assert [line.text for lines in groups for line in lines] == ["mary", ""] * 300_000 + ["tom"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"tom\nmary\n")))
    assert list(read_line_groups(text_argument("-"))) == [[(1, "tom"), (2, "mary")]]
