"""`elman score`: units, means, carried states, the least probable lines, SRILM's format."""

import json
import math
import re
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.formats.model_file import save_model
from support.every_kind import word_model
from support.tiny import STORY, text_model
from support.waiting import LONG

TEXT = "tom was asleep\n\nmary was reading in the kitchen .\nann yodelled\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model files: of every kind with <unk>, a closed one, and characters without an end of line."""
    folder = tmp_path_factory.mktemp("models")
    for kind in ("recurrent", "n-gram", "window", "mixture"):
        save_model(folder / kind, word_model(kind))
    save_model(folder / "closed", word_model("n-gram", closed=True))
    save_model(folder / "no-end", text_model("char", "ab cab"))
    return folder


@pytest.fixture
def scored(command: Any, models: Path) -> Callable[..., list[dict[str, Any]]]:
    """Score a text as JSON."""

    def run(name: str, text: str, *options: object) -> list[dict[str, Any]]:
        outcome = command("score", models / name, "--json", *options, stdin=text.encode())
        assert outcome.code == 0, outcome.err
        return [json.loads(line) for line in outcome.out.splitlines()]

    return run


KINDS = ["recurrent", "n-gram", "window", "mixture"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_logarithm_in_another_unit_and_as_a_mean(scored: Any, kind: str) -> None:
    plain = scored(kind, TEXT)
    for unit, name, size in (
        ("nats", "ln", 1),
        ("bits", "log2", math.log(2)),
        ("log10", "log10", math.log(10)),
    ):
        for per, count in (("none", lambda _: 1), ("token", lambda row: row["tokens"])):
            found = scored(kind, TEXT, "--unit", unit, "--normalize", per)
            column = f"{name}_prob" + ("_per_token" if per == "token" else "")
            expected = [row["ln_prob"] / size / count(row) for row in plain]
            assert [row[column] for row in found] == pytest.approx(expected)
            assert [row["text"] for row in found] == TEXT.splitlines()


def test_a_mean_per_character_counts_the_end_of_the_line(command: Any, models: Path, scored: Any) -> None:
    plain, found = scored("recurrent", TEXT), scored("recurrent", TEXT, "--normalize", "char")
    for row, of_char in zip(plain, found, strict=True):
        assert of_char["characters"] == len(row["text"]) + 1
        assert of_char["ln_prob_per_char"] == pytest.approx(row["ln_prob"] / of_char["characters"])
    head = command("score", models / "recurrent", "--normalize", "char", stdin=b"").out
    assert head == "ln_prob_per_char\tperplexity\ttokens\tcharacters\tunknown\ttext\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_carried_state_goes_from_line_to_line(command: Any, models: Path, scored: Any, kind: str) -> None:
    lines = scored(kind, TEXT * 3, "--state", "carry")
    tokens = scored(kind, TEXT * 3, "--state", "carry", "--per-token", "--unit", "nats")
    for number, line in enumerate(lines, 1):
        of_line = [token["surprisal_nats"] for token in tokens if token["line"] == number]
        assert line["ln_prob"] == pytest.approx(-sum(of_line))
    whole = json.loads(command("eval", models / kind, "-", "--json", stdin=(TEXT * 3).encode()).out)
    assert sum(line["ln_prob"] for line in lines) == pytest.approx(-whole["nll_nats"])


def test_tokens_have_units_too(command: Any, models: Path, scored: Any) -> None:
    bits = scored("mixture", TEXT, "--per-token")
    nats = scored("mixture", TEXT, "--per-token", "--unit", "nats")
    assert [row["surprisal_nats"] for row in nats] == pytest.approx(
        [row["surprisal_bits"] * math.log(2) for row in bits]
    )
    assert [row["entropy_nats"] for row in nats] == pytest.approx(
        [row["entropy_bits"] * math.log(2) for row in bits]
    )
    head = command("score", models / "mixture", "--per-token", "--unit", "log10", stdin=b"").out
    assert head == "line\ttoken\tsurprisal_log10\trank\tunknown\n"


@pytest.mark.parametrize("state", ["reset", "carry"])
def test_top_prints_least_probable_lines_with_numbers(scored: Any, state: str) -> None:
    text = "".join(f"{line}\n" for line in (*STORY.splitlines() * 40, "the said his .", *STORY.splitlines()))
    rows = scored("recurrent", text, "--normalize", "token", "--state", state)
    found = scored("recurrent", text, "--top", 5, "--state", state)
    numbered = sorted((row["ln_prob_per_token"], k) for k, row in enumerate(rows, 1))[:5]
    assert [row["line"] for row in found] == [k for _, k in numbered]
    assert [row["ln_prob_per_token"] for row in found] == pytest.approx([value for value, _ in numbered])
    assert [row["text"] for row in found] == [rows[k - 1]["text"] for _, k in numbered]


def test_top_by_another_measure(command: Any, models: Path) -> None:
    options = ("--top", 2, "--normalize", "none", "--unit", "bits")
    outcome = command("score", models / "n-gram", *options, stdin=TEXT.encode())
    head, first, second = (line.split("\t") for line in outcome.out.splitlines())
    assert head == ["line", "log2_prob", "perplexity", "tokens", "unknown", "text"]
    assert float(first[1]) <= float(second[1]) < 0
    assert first[5] == TEXT.splitlines()[int(first[0]) - 1]


def test_lines_of_probability_0_come_first(command: Any, models: Path) -> None:
    outcome = command("score", models / "closed", "--top", 1, stdin=TEXT.encode())
    assert outcome.out.splitlines()[1].split("\t")[:2] == ["4", "-inf"]
    assert "lines with tokens that are not in the vocabulary, which has no <unk>: 1;" in outcome.err


def test_what_was_read_before_a_wrong_byte_is_shown(command: Any, models: Path) -> None:
    outcome = command("score", models / "n-gram", "--top", 3, stdin=TEXT.encode() + b"tom \xff\n")
    assert outcome.code == 1
    assert len(outcome.out.splitlines()) == 4
    assert "byte 0xff at offset 67 (line 5) is not utf-8" in outcome.err


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--srilm", "--json"), ("--srilm", "--json")),
        (("--srilm", "--state", "carry"), ("--srilm", "--state carry")),
        (("--srilm", "--per-token"), ("--srilm", "--per-token")),
        (("--srilm", "--top", 3), ("--srilm", "--top")),
        (("--srilm", "--unit", "nats"), ("--srilm", "--unit")),
        (("--per-token", "--top", 3), ("--per-token", "--top")),
        (("--per-token", "--normalize", "char"), ("--per-token", "--normalize")),
    ],
)
def test_conflicting_options_are_refused(
    refused: Any, models: Path, options: tuple[object, ...], names: tuple[str, str]
) -> None:
    line = refused("score", models / "n-gram", *options, stdin=TEXT.encode())
    assert line == f"{names[0]} and {names[1]} cannot be used together; leave one out"


# SRILM

ROW = re.compile(r"\tp\( (\S+) \| (\S*) ?(\.\.\.)?\) \t= \[(\w+)\] (\S+) \[ (\S+) \]")
SUMS = re.compile(
    r"(\d+) sentences, (\d+) words, (\d+) OOVs\n(\d+) zeroprobs, logprob= (\S+) ppl= (\S+) ppl1= (\S+)"
)


def srilm(command: Any, model: Path, text: str) -> tuple[list[str], str]:
    """Return the paragraphs of the sentences and the last."""
    outcome = command("score", model, "--srilm", stdin=text.encode())
    assert (outcome.code, outcome.err) == (0, "")
    *sentences, last = outcome.out.split("\n\n")
    return sentences, last


def test_the_layout_of_srilm(command: Any, models: Path) -> None:
    (sentence,), last = srilm(command, models / "n-gram", "tom was reading\n")
    lines = sentence.split("\n")
    assert lines[0] == "tom was reading"
    assert [line.split("\t= ")[0] for line in lines[1:5]] == [
        "\tp( tom | <s> ) ",
        "\tp( was | tom ...) ",
        "\tp( <unk> | was ...) ",  # once in the training text
        "\tp( </s> | <unk> ...) ",
    ]
    assert lines[5] == "1 sentences, 3 words, 0 OOVs"
    assert last == "file -: " + "\n".join(lines[5:]) + "\n"
    parts = [ROW.fullmatch(line) for line in lines[1:5]]
    logs = [float(part[6]) for part in parts if part]
    assert len(logs) == 4
    assert [float(part[5]) for part in parts if part] == pytest.approx([10**log for log in logs], rel=1e-5)
    sums = SUMS.search(sentence)
    assert sums
    assert float(sums[5]) == pytest.approx(sum(logs), rel=1e-6)
    assert float(sums[6]) == pytest.approx(10 ** (-sum(logs) / 4), rel=1e-6)
    assert float(sums[7]) == pytest.approx(10 ** (-sum(logs) / 3), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_its_sums_are_the_scores(command: Any, models: Path, scored: Any, kind: str) -> None:
    sentences, last = srilm(command, models / kind, TEXT)
    rows = scored(kind, TEXT)
    for sentence, row in zip(sentences, rows, strict=True):
        sums = SUMS.search(sentence)
        assert sums
        assert float(sums[5]) == pytest.approx(row["log10_prob"], rel=1e-5)
        assert float(sums[6]) == pytest.approx(row["perplexity"], rel=1e-5)
    whole = SUMS.search(last)
    assert whole
    assert whole.groups()[:4] == ("4", "12", "0", "0")
    assert float(whole[5]) == pytest.approx(sum(row["log10_prob"] for row in rows), rel=1e-5)
    found = ROW.search(sentences[0])
    assert found
    assert found[4] == {"recurrent": "rnn", "mixture": "rnn", "n-gram": "2gram", "window": "2gram"}[kind]


def test_unknown_words_of_a_closed_vocabulary_are_oovs_and_left_out(command: Any, models: Path) -> None:
    (sentence,), _ = srilm(command, models / "closed", "ann yodelled\n")
    assert "\tp( <unk> | ann ...) \t= [OOV] 0 [ -inf ]\n" in sentence
    sums = SUMS.search(sentence)
    assert sums
    assert sums.groups()[:4] == ("1", "2", "1", "0")
    assert float(sums[6]) == pytest.approx(10 ** (-float(sums[5]) / 2), rel=1e-6)


def test_an_empty_line_has_no_words_to_divide_by(command: Any, models: Path) -> None:
    (sentence,), _ = srilm(command, models / "n-gram", "\n")
    assert sentence.startswith("\n\tp( </s> | <s> ) \t= [")
    assert sentence.endswith("ppl1= undefined")


def test_characters_are_words_of_the_layout(command: Any, models: Path) -> None:
    (sentence,), last = srilm(command, models / "no-end", "a b\n")
    assert [found[:2] for found in ROW.findall(sentence)] == [("a", ""), (r"\x20", "a"), ("b", r"\x20")]
    assert "1 sentences, 3 words, 0 OOVs" in last


# Unusual texts


@pytest.mark.parametrize("options", [(), ("--state", "carry"), ("--top", 3), ("--per-token",)])
def test_a_model_without_an_end_of_line_scores_no_ends(scored: Any, options: tuple[object, ...]) -> None:
    found = scored("no-end", "ab\n\ncab\n", *options)
    if "--per-token" in options:
        assert [token["token"] for token in found] == ["a", "b", "c", "a", "b"]
    else:
        assert sorted(row["tokens"] for row in found) == ([2, 3] if "--top" in options else [0, 2, 3])


@pytest.mark.parametrize("options", [(), ("--state", "carry")])
def test_memory_does_not_grow_with_line_length(command: Any, runs: Path, options: tuple[object, ...]) -> None:
    line = b"tom was " * 3000 + b"\n"
    tracemalloc.start()
    try:
        outcome = command("score", runs / "byte", "--json", *options, stdin=line)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert json.loads(outcome.out)["tokens"] == len(line)
    assert peak < len(line) * 256 * 4 / 2  # half of what the scores of all bytes at all places would take


def test_closed_pipe_ends_without_a_message(process: Any, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(STORY * 500, encoding="utf-8")
    with process("score", runs / "word", tmp_path / "text.txt", stdin=subprocess.DEVNULL) as running:
        assert running.stdout.readline()
        running.stdout.close()
        errors = running.stderr.read()
        running.wait(timeout=LONG)
    assert errors == b""
    assert running.returncode != 0
