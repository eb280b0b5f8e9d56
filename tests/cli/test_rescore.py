"""`elman rescore`: choosing candidates, tuning weights, and word error rates."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.rescoring.nbest import read_kaldi, read_tsv
from elman.text_model import load
from support.tiny import STORY

LINES = STORY.splitlines()
HEADER = "utterance\trank\tscore\ttext\n"


@pytest.fixture
def nbest(tmp_path: Path) -> Path:
    """Six utterances of three speakers, whose second candidate is the right one; also ref.txt."""
    rows, references = [HEADER], []
    for k in range(6):
        name, said = f"{k // 2}-{k % 2}", LINES[k % 4].split(" . ")[0]
        wrong = " ".join(reversed(said.split()))
        rows += [f"{name}\t1\t-1.0\t{wrong.upper()}\n", f"{name}\t2\t-2.0\t{said.upper()}\n"]
        references.append(f"{name} {said.upper()}\n")
    (tmp_path / "ref.txt").write_text("".join(references))
    path = tmp_path / "nbest.tsv"
    path.write_text("".join(rows))
    return path


def test_weights_are_tuned_on_one_half_and_measured_on_the_other(
    command: Any, runs: Path, nbest: Path
) -> None:
    outcome = command("rescore", runs / "word", nbest, "--ref", "ref.txt", "--json", "-o", "best.txt")
    assert outcome.code == 0, outcome
    results = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(each["part"], each["tuned_on"], each["utterances"]) for each in results] == [
        ("second half", "first half", 2),
        ("first half", "second half", 4),
        ("both halves", "the other half", 6),
    ]
    for each in results:
        assert each["oracle"] == 0
        assert each["rescored_wer"] == 0 < each["first_wer"]
        assert each["gain"] == 1
    assert "6 utterances, 12 candidates (lower)" in outcome.err
    assert "saved by shared prefixes" in outcome.err
    best = [line.split("\t") for line in Path("best.txt").read_text().splitlines()]
    references = [line.split(" ", 1) for line in Path("ref.txt").read_text().splitlines()]
    assert best == references


def test_a_table_for_people_ends_with_the_weights(command: Any, runs: Path, nbest: Path) -> None:
    outcome = command("rescore", runs / "word", nbest, "--ref", "ref.txt", "--resample", "speaker", "--carry")
    lines = outcome.out.splitlines()
    assert lines[0].startswith(
        "part\ttuned on\tlambda\tbeta\tutterances\twords\tfirst\toracle\trescored\tgain"
    )
    assert lines[3].endswith("\t0.00%\t0.00%\t100.00%\t100.00% to 100.00%")
    assert lines[4].startswith("tuned on all: --lambda ")
    one = command("rescore", runs / "word", nbest, "--ref", "ref.txt", "--tune", "second").out.splitlines()
    assert [line.split("\t")[0] for line in one] == ["part", "first half"]


def test_given_weights_choose_without_references(command: Any, runs: Path, nbest: Path) -> None:
    right = [line.split("\t")[3] for line in nbest.read_text().splitlines()[2::2]]
    wrong = [line.split("\t")[3] for line in nbest.read_text().splitlines()[1::2]]
    for weight, texts in (("1", right), ("0", wrong)):
        for extra in ([], ["--carry"], ["--carry", "--cache", "9"]):
            outcome = command("rescore", runs / "word", nbest, "--lambda", weight, *extra)
            assert [line.split("\t")[1] for line in outcome.out.splitlines()] == texts
    measured = command("rescore", runs / "word", nbest, "--lambda", "1", "--ref", "ref.txt", "--json").out
    assert json.loads(measured)["rescored"] == 0
    by_input = command("rescore", runs / "word", "--lambda", "1", stdin=nbest.read_bytes())
    assert [line.split("\t")[1] for line in by_input.out.splitlines()] == right


def test_all_candidates_are_written_as_a_list_that_can_be_read_again(
    command: Any, runs: Path, nbest: Path
) -> None:
    outcome = command("rescore", runs / "word", nbest, "--lambda", "0.5", "--write", "all", "-o", "all.tsv")
    assert (outcome.code, outcome.out) == (0, "")
    again = read_tsv(Path("all.tsv").read_text().splitlines(), "all.tsv")
    given = read_tsv(nbest.read_text().splitlines(), "nbest")
    assert [u.name for u in again] == [u.name for u in given]
    for new, old in zip(again, given, strict=True):
        assert {c.text for c in new.candidates} == {c.text for c in old.candidates}
        assert new.candidates[0].score >= new.candidates[1].score


def test_kaldi_in_and_out(command: Any, runs: Path, nbest: Path) -> None:
    assert (
        command("rescore", runs / "word", nbest, "--lambda", "1", "--write", "kaldi", "-o", "one").code == 0
    )
    written = read_kaldi(Path("one"))
    assert [c.lm is not None and c.lm < 0 for u in written for c in u.candidates] == [True] * 12
    again = command("rescore", runs / "word", "one", "--lambda", "1").out
    assert again == command("rescore", runs / "word", nbest, "--lambda", "1").out


def test_one_candidate_and_no_words_are_fine(command: Any, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "n.tsv").write_text(f"{HEADER}a-1\t1\t-1\t\nb-1\t1\t-1\ttom zzz\n")
    (tmp_path / "r.txt").write_text("a-1\nb-1 tom was\nc-1 left out\n")
    outcome = command("rescore", runs / "open", "n.tsv", "--ref", "r.txt", "--json")
    assert outcome.code == 0, outcome
    assert [json.loads(line)["gain"] for line in outcome.out.splitlines()] == [0, 0, 0]
    assert "unknown words in the first candidates: 1 (of 2 words)" in outcome.err
    assert "references without candidates, ignored: 1" in outcome.err
    out = command("rescore", runs / "open", "n.tsv", "--lambda", "0.3").out
    assert out == "a-1\t\nb-1\ttom zzz\n"


def test_several_models_and_a_lexicon_choose_together(command: Any, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "n.tsv").write_text(f"{HEADER}a-1\t1\t-1\ttom was zzyx\na-1\t2\t-1\ttom was glum\n")
    (tmp_path / "words.txt").write_text("Glum\t2\nglee\n")
    plain = command("rescore", runs / "open", "n.tsv", "--lambda", "0.3", "--unknown", "plain").out
    assert plain == "a-1\ttom was zzyx\n"
    outcome = command(
        "rescore", runs / "open", "n.tsv", "--lambda", "1", "--lexicon", "words.txt", "--with", runs / "word"
    )
    assert outcome.code == 0, outcome
    assert outcome.err.count("unknown words in the first candidates") == 2
    found = command("rescore", runs / "open", "n.tsv", "--lambda", "1", "--lexicon", "words.txt").out
    assert found == "a-1\ttom was glum\n"


def test_bad_input_writes_nothing(
    refused: Callable[..., str], runs: Path, nbest: Path, tmp_path: Path
) -> None:
    run = runs / "word"
    (tmp_path / "nan.tsv").write_text(f"{HEADER}u\t1\tnan\ta\n")
    (tmp_path / "short.txt").write_text("0-0 tom\n")
    (tmp_path / "one.tsv").write_text(f"{HEADER}u\t1\t-1\ta\n")
    (tmp_path / "u.txt").write_text("u a\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert refused("rescore", run, "nan.tsv", "--lambda", "1", "-o", "x") == (
        "nan.tsv, line 2: the score must be a finite number, got 'nan'"
    )
    assert "utterances without a reference: 5 of 6, the first is 0-1" in refused(
        "rescore", run, nbest, "--ref", "short.txt", "-o", "x"
    )
    assert "no.tsv: there is no such file" in refused("rescore", run, "no.tsv", "--lambda", "1")
    assert "no.txt: there is no such file" in refused(
        "rescore", run, nbest, "--lambda", "1", "--lexicon", "no.txt"
    )
    assert "so --lexicon has no effect" in refused(
        "rescore", run, nbest, "--lambda", "1", "--lexicon", "u.txt", "--unknown", "plain"
    )
    assert "--ref ref.txt; or give --lambda" in refused("rescore", run, nbest)
    assert "--beta needs --lambda" in refused("rescore", run, nbest, "--beta", "1")
    assert "must be finite numbers" in refused("rescore", run, nbest, "--lambda", "nan")
    assert "cannot be halved" in refused("rescore", run, "one.tsv", "--ref", "u.txt")
    assert "there is no folder no" in refused("rescore", run, nbest, "--lambda", "1", "-o", "no/x")
    assert "already exists" in refused("rescore", run, nbest, "--lambda", "1", "--write", "kaldi", "-o", ".")
    assert "is a folder; name a file" in refused("rescore", run, nbest, "--lambda", "1", "-o", ".")
    assert "-o FOLDER" in refused("rescore", run, nbest, "--lambda", "1", "--write", "kaldi")
    assert "-o FILE" in refused("rescore", run, nbest, "--ref", "ref.txt", "--write", "all")
    assert "add --carry" in refused("rescore", run, nbest, "--lambda", "1", "--cache", "5")
    assert "no token for the end of a line" in refused(
        "rescore", endless(run, tmp_path), nbest, "--lambda", "1"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "endless.safetensors"])


def endless(run: Path, folder: Path) -> Path:
    """The model of a run whose vocabulary names no end of a line."""
    from elman.formats.model_file import save_model
    from elman.text.vocabulary import Vocabulary

    model = load(run)
    model.vocabulary = Vocabulary(model.vocabulary.tokens)
    path = folder / "endless.safetensors"
    save_model(path, model)
    return path
