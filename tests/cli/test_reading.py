"""How text gets in and out of commands: raw bytes, lines in another encoding, tables, terminals, odd file names."""

import csv
import gzip
import json
import math
import os
import pty
import shutil
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from elman import compare, load, pairs, train
from elman.cli.output import visible
from support.runs import small_config
from support.tiny import STORY

KOREAN = "톰 은 방 에 있었다 .\n메리 가 방 에 들어왔다 .\n\n애나 가 왔다 ."
RAW = {
    "LF": KOREAN.encode(),
    "CRLF": KOREAN.replace("\n", "\r\n").encode(),
    "CR": KOREAN.replace("\n", "\r").encode(),
    "NFD": unicodedata.normalize("NFD", KOREAN).encode() + b"\n",
    "BOM": b"\xef\xbb\xbf" + KOREAN.encode(),
    "invalid": b"caf\xe9 \xff\n" + KOREAN.encode(),
}
SMALL = ["--epochs", "1", "--hidden", "4", "--wordvec", "4", "-q"]
LOG = (
    STORY.encode()
    + b"tom was in caf\xe9 .\n"
    + STORY.encode()
    + b"garden the in in kitchen tom\n"
    + STORY.encode()
)


@pytest.mark.parametrize("text", RAW)
@pytest.mark.parametrize("run", ["byte", "jamo", "korean"])
def test_eval_is_the_sum_of_score(command: Any, runs: Path, tmp_path: Path, run: str, text: str) -> None:
    (tmp_path / "text.txt").write_bytes(RAW[text])
    errors = ["--errors", "replace"] if text == "invalid" else []
    whole = json.loads(command("eval", runs / run, "text.txt", "--json", *errors).out)
    for file, stdin in (("text.txt", b""), ("-", RAW[text])):
        scored = command("score", runs / run, file, "--state", "carry", "--json", *errors, stdin=stdin).out
        lines = [json.loads(line) for line in scored.split("\n")[:-1]]
        assert sum(line["tokens"] for line in lines) == whole["tokens"]
        if whole["unknown_tokens"] == 0:
            assert -sum(line["ln_prob"] for line in lines) == pytest.approx(whole["nll_nats"], rel=1e-6)
    if run == "byte":
        assert whole["tokens"] == len(RAW[text])
        surprisals = command("surprisal", runs / run, "text.txt", "--json", "--context", "document").out
        bits = sum(json.loads(line)["surprisal_bits"] for line in surprisals.split("\n")[:-1])
        assert bits / whole["bits_per_token"] == pytest.approx(whole["tokens"], rel=1e-6)


def test_the_prompt_of_a_model_of_bytes_is_not_normalised(command: Any, runs: Path) -> None:
    options = ("-n", "0", "--json", "--prompt")
    decomposed = unicodedata.normalize("NFD", "톰\r\n")
    assert json.loads(command("generate", runs / "byte", *options, decomposed).out)["text"] == decomposed
    found = json.loads(
        command("generate", runs / "byte", *options, "-", stdin=f"{decomposed}\n".encode()).out
    )
    assert found["prompt"] == found["text"] == decomposed


def test_a_prompt_from_standard_input(command: Any, refused: Any, runs: Path) -> None:
    options = ("-n", "5", "--seed", "1", "--prompt")
    given = command("generate", runs / "word", *options, "tom was").out
    assert command("generate", runs / "word", *options, "-", stdin=b"tom was\n").out == given
    assert command("generate", runs / "word", *options, "-", stdin=b"tom was").out == given
    assert command("generate", runs / "word", *options, "-", stdin=gzip.compress(b"tom was")).out == given
    line = refused("generate", runs / "char", *options, "-", stdin=b"caf\xe9")
    assert line.startswith("standard input: byte 0xe9 at offset 3")


def test_top_finds_what_is_odd_behind_an_invalid_line(command: Any, runs: Path) -> None:
    stopped = command("score", runs / "open", "--top", 3, stdin=LOG)
    assert stopped.code == 1
    assert stopped.err.endswith("read on with --errors replace\n")
    replaced = command("score", runs / "open", "--top", 2, "--json", "--errors", "replace", stdin=LOG)
    numbers = {json.loads(row)["line"]: json.loads(row)["text"] for row in replaced.out.splitlines()}
    assert numbers[10] == "garden the in in kitchen tom"
    assert "elman: standard input: replaced bytes in 1 line not in utf-8\n" in replaced.err
    skipped = command("score", runs / "open", "--json", "--top", 99, "--errors", "skip", stdin=LOG)
    assert sorted(json.loads(row)["line"] for row in skipped.out.splitlines()) == [1, 2, 3, 4, *range(6, 15)]
    assert "elman: standard input: skipped 1 line not in utf-8\n" in skipped.err


@pytest.mark.parametrize("name", ["surprisal", "eval", "compare", "mix", "normalise", "train"])
def test_errors_of_other_commands(command: Any, runs: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "log.txt").write_bytes(LOG)
    shutil.copytree(runs / "open", tmp_path / "twin")
    arguments: dict[str, list[Any]] = {
        "surprisal": [runs / "open", "log.txt"],
        "eval": [runs / "open", "log.txt"],
        "compare": [runs / "open", runs / "word", "log.txt"],
        "mix": [runs / "open", "twin", "--tune", "log.txt", "-o", "mix"],
        "normalise": ["log.txt", "--layout", "lines", "-o", "spoken.txt"],
        "train": ["log.txt", "-o", "run", *SMALL],
    }
    assert command(name, *arguments[name]).code == 1
    for errors, what in (("replace", "replaced bytes in 1 line"), ("skip", "skipped 1 line")):
        over = ["--overwrite"] if name in ("mix", "train") else []
        found = command(name, *arguments[name], "--errors", errors, *over)
        assert found.code == 0
        assert f"log.txt: {what} not in utf-8" in found.err


def test_a_text_model_says_how_to_decode_bytes(runs: Path) -> None:
    model = load(runs / "char")
    assert model.score(b"tom was") == model.score("tom was")
    with pytest.raises(Exception, match="byte 0xe9 at offset 3 is not utf-8; decode the bytes first"):
        model.score(b"caf\xe9")
    lines = [b"tom was", b"caf\xe9"]
    with pytest.raises(Exception, match=r"line 2 is not utf-8: .* read on with `errors='replace'`"):
        model.score_lines(lines)
    assert [row.text for row in model.score_lines(lines, errors="replace")] == ["tom was", "caf\ufffd"]
    assert [row.text for row in model.score_lines(lines, encoding="latin-1")] == ["tom was", "café"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_utf_16_without_a_mark(refused: Any, runs: Path, tmp_path: Path, encoding: str, errors: str) -> None:
    (tmp_path / "text.txt").write_bytes(STORY.encode(f"{encoding}-le"))
    expected = f"text.txt does not begin with a byte order mark, so {encoding} does not say the order of its bytes; try"
    for name in ("score", "eval", "surprisal"):
        line = refused(name, runs / "open", "text.txt", "--encoding", encoding, "--errors", errors)
        assert expected in line
        assert f"--encoding {encoding}-le" in line
    assert expected in refused("train", "text.txt", "-o", "run", *SMALL, "--encoding", encoding)


TABLES = {
    "a.csv": 'id,words,group\n1,"tom was in , his room",x\n2,mary was reading,y\n',
    "a.tsv": "id\twords\tgroup\n1\ttom was in , his room\tx\n2\tmary was reading\ty\n",
    "a.jsonl": '{"id": "1", "words": "tom was in , his room", "group": "x"}\n\n'
    '{"words": "mary was reading", "id": "2", "group": "y", "more": 1}\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_a_column_of_a_table(command: Any, refused: Any, runs: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    lines = ["tom was in , his room", "mary was reading"]
    plain = command("score", runs / "open", stdin="\n".join(lines).encode()).out.splitlines()
    found = command("score", runs / "open", name, "--column", "words").out.splitlines()
    assert found == [f"{plain[0]}\tid\tgroup", f"{plain[1]}\t1\tx", f"{plain[2]}\t2\ty"]
    top = command("score", runs / "open", name, "--column", "words", "--top", 1, "--json").out
    assert set(json.loads(top)) > {"line", "text", "id", "group"}
    tokens = command("score", runs / "open", name, "--column", "words", "--per-token").out
    assert list(csv.reader(tokens.splitlines(), delimiter="\t"))[1][-2:] == ["1", "x"]
    words = command("surprisal", runs / "open", name, "--column", "words").out.splitlines()
    assert words[0].endswith("\tid\tgroup")
    assert words[-1].endswith("\t2\ty")
    assert "has no column 'text'; its columns: 'id', 'words', 'group'" in refused(
        "score", runs / "open", name, "--column", "text"
    )
    table = {"words": lines, "id": [1, 2]}
    assert load(runs / "open").score_lines(table, column="words").to_dict()["id"] == [1, 2]


def test_score_and_surprisal_warn_of_a_table_that_is_read_as_text(
    command: Any, runs: Path, tmp_path: Path
) -> None:
    for name in ("a.csv", "b.jsonl.gz"):
        (tmp_path / name).write_text(TABLES["a.csv"], encoding="utf-8")
        expected = f"elman: {name} is read as plain text, with all its columns; --column ... names the column to read"
        for each in ("score", "surprisal"):
            err = command(each, runs / "open", name).err
            assert err.splitlines()[0].replace("NAME", "...") == expected
        assert "plain text" not in command("score", runs / "open", stdin=b"a,b\n").err
    assert "is read as plain text" in command("train", "a.csv", "-o", "run", *SMALL).err


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_train_on_a_column(command: Any, refused: Any, tmp_path: Path, suffix: str) -> None:
    lines = STORY.splitlines()
    with (tmp_path / f"t.{suffix}").open("w", encoding="utf-8", newline="") as file:
        if suffix == "csv":
            csv.writer(file).writerows([["n", "text"], *enumerate(lines)])
        else:
            file.writelines(json.dumps({"n": n, "text": line}) + "\n" for n, line in enumerate(lines))
    (tmp_path / "t.txt").write_text(STORY)
    plain = command("train", "t.txt", "-o", "plain", *SMALL, "--valid", "t.txt", "--allow-overlap").out
    found = command(
        "train",
        f"t.{suffix}",
        "-o",
        "run",
        *SMALL,
        "--column",
        "text",
        "--valid",
        f"t.{suffix}",
        "--allow-overlap",
    )
    assert found.out.split(" s of")[0].split(",")[0] == plain.replace("plain", "run").split(",")[0]
    assert "plain text" not in found.err
    assert "no column 'words'" in refused("train", f"t.{suffix}", "-o", "new", "--column", "words")
    assert not (tmp_path / "new").exists()
    assert command("train", "--resume", "run", "--epochs", "2", "-q").code == 0
    table = {"text": lines, "n": list(range(len(lines)))}
    assert train(table, tmp_path / "again", column="text", options=small_config().to_dict()).best


def test_pairs_in_two_columns(command: Any, refused: Any, runs: Path, tmp_path: Path) -> None:
    good, bad = ["tom was here", "mary was reading"], ["was tom here", "reading was mary"]
    (tmp_path / "p.tsv").write_text("".join(f"{g}\t{b}\n" for g, b in zip(good, bad, strict=True)))
    (tmp_path / "p.csv").write_text(
        "wrong,right\n" + "".join(f"{b},{g}\n" for g, b in zip(good, bad, strict=True))
    )
    expected = json.loads(command("pairs", runs / "open", "p.tsv", "--json").out)
    assert (
        json.loads(command("pairs", runs / "open", "p.csv", "--json", "--column", "right", "wrong").out)
        == expected
    )
    assert "no column 'bad' besides 'right'" in refused(
        "pairs", runs / "open", "p.csv", "--column", "right", "bad"
    )
    result = pairs(
        load(runs / "open"), {"r": good, "w": bad, "kind": ["a", "b"]}, by="kind", column=("r", "w")
    )
    (sets,) = result.sets.values()
    assert [each.set for each in sets] == ["a", "b"]


ESCAPES = b"tom \x1b[31mwas\x1b[0m in \x07 \xc2\x9b1m\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [["score"], ["score", "--top", "1"], ["surprisal"], ["generate"], ["score", "--json"]]
)
def test_escape_sequences_on_a_terminal_and_through_a_pipe(
    process: Any, runs: Path, tmp_path: Path, name: list[str]
) -> None:
    (tmp_path / "log.txt").write_bytes(ESCAPES)
    first, *options = name
    text = ["--prompt", "-", "-n", "0"] if first == "generate" else ["log.txt"]
    arguments = [first, runs / "char", *text, *options]
    with (
        (tmp_path / "log.txt").open("rb") as given,
        process(*arguments, stdin=given, cwd=tmp_path) as running,
    ):
        piped = running.communicate()[0].decode()
    plain = ESCAPES.decode().strip()
    if "--json" in name:
        assert json.loads(piped)["text"] == plain
    elif first == "surprisal":
        assert "\t\x1b[31mwas\x1b[0m\t" in piped
    else:
        assert plain in piped
    ours, theirs = pty.openpty()
    with (tmp_path / "log.txt").open("rb") as given:
        process(*arguments, stdin=given, stdout=theirs, cwd=tmp_path).communicate()
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode().replace("\r\n", "\n")
    os.close(ours)
    assert visible(shown) == shown
    assert r"\u001b[31m" in shown if "--json" in name else r"\x1b[31mwas\x1b[0m" in shown


NAME = os.fsdecode(b"caf\xe9.txt")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are always Unicode there")
def test_file_names_that_are_not_utf_8(command: Any, refused: Any, runs: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(STORY)
    assert load(runs / "word").evaluate(tmp_path / NAME).tokens
    assert len(compare([runs / "word", runs / "open"], tmp_path / NAME)) == 2
    assert command("score", runs / "word", NAME).code == 0
    assert command("eval", runs / "word", NAME, "--json").code == 0
    line = refused("train", NAME, "-o", "run", *SMALL)
    assert r"a run cannot record a name that is not UTF-8" in line
    assert r"caf\udce9.txt" in line
    assert not (tmp_path / "run").exists()
    assert "there is no such file" in refused("score", runs / "word", os.fsdecode(b"\xe8.txt"))
    found = command("generate", runs / "word", "-n", "2", "--json", "--prompt", os.fsdecode(b"caf\xe9"))
    assert json.loads(found.out.encode())["prompt"] == os.fsdecode(b"caf\xe9")


def test_pairs_of_a_model_of_bytes_are_read_as_they_are(command: Any, runs: Path, tmp_path: Path) -> None:
    raw = unicodedata.normalize("NFD", "톰 은 방 에\t방 에 톰 은\r\n").encode() + b"caf\xe9\tcaf\xe8\n"
    (tmp_path / "p.tsv").write_bytes(raw)
    found = command("pairs", runs / "byte", "p.tsv", "--per-pair", "scores.tsv")
    assert found.code == 0, found.err
    text = (tmp_path / "scores.tsv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
    assert rows[1]["good"] == r"caf\xe9"
    model = load(runs / "byte")
    for row, line in zip(rows, raw.splitlines(), strict=True):
        for sentence, name in zip(line.split(b"\t"), ("good_ln_prob", "bad_ln_prob"), strict=True):
            assert float(row[name]) == pytest.approx(model.score(sentence) * math.log(10), rel=1e-4)
