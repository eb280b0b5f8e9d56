"""N-best lists of Moses, SRILM, ESPnet and JSON: what is read, what is recognised, and errors that name the place."""

import json
import math
from pathlib import Path

import pytest

from elman.errors import ConfigError, TextError
from elman.rescoring.nbest import Candidate, Utterance
from elman.rescoring.nbest_formats import BYTELOG, NATS, Format, read_nbest
from elman.rescoring.rescore import rescore
from support.ngrams import sentence_model

EXPECTED = [
    Utterance("u1", (Candidate(1, -1.5, "a b"), Candidate(2, -2.0, "a c"))),
    Utterance("u2", (Candidate(1, -3.0, ""),)),
]
MOSES = [
    "u1 ||| a  b ||| LM: -3 d: 0 0 ||| -1.5",
    "u1 ||| a c  ||| LM: -4 ||| -2 ||| 0-0 1-1",
    "",
    "u2 |||  ||| -3",
]
JSON = [
    {"utt": "u1", "hyps": [{"text": "a b", "score": -1.5}, {"text": "a c", "score": -2}]},
    {"utt": "u2", "hyps": [{"text": "", "score": -3.0, "other": 1}]},
]
ESPNET = {
    "utts": {
        "u1": {
            "output": [
                {"name": "target1[1]", "rec_text": "▁a▁b<eos>", "score": -1.5, "text": "A B"},
                {"name": "target1[2]", "rec_text": "a<space>c<eos>", "score": -2.0},
            ]
        },
        "u2": {"output": [{"rec_text": "<eos>", "score": -3.0}]},
    }
}
WRITTEN: dict[str, tuple[str, Format]] = {
    "moses": ("\n".join(MOSES), "moses"),
    "json lines": ("\n".join(map(json.dumps, JSON)), "json"),
    "json list": (json.dumps(JSON, indent=1), "json"),
    "json object": (json.dumps({each["utt"]: each["hyps"] for each in JSON}, indent=2), "json"),
    "data.json": (json.dumps(ESPNET, indent=4, ensure_ascii=False), "espnet"),
    "table": ("utterance\ttext\tscore\nu1\ta b\t-1.5\nu1\ta c\t-2\nu2\t\t-3\n", "tsv"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_list_is_read_and_recognised(name: str, tmp_path: Path) -> None:
    text, format = WRITTEN[name]
    path = tmp_path / "list"
    path.write_text(f"{text}\n", encoding="utf-8")
    assert read_nbest(path, format) == EXPECTED
    assert read_nbest(path) == EXPECTED
    assert read_nbest(text.split("\n")) == EXPECTED
    with path.open("rb") as stream:
        assert read_nbest(stream) == EXPECTED


def test_one_object_of_json_lines_and_plain_texts() -> None:
    assert read_nbest(['{"utt": 7, "hyps": ["a b", "c"]}']) == [
        Utterance("7", (Candidate(1, 0.0, "a b"), Candidate(2, 0.0, "c")))
    ]


def test_the_folders_of_espnet_are_read(tmp_path: Path) -> None:
    best = [("u1 a b\nu2\n", "u1 tensor(-1.5)\nu2 tensor(-3., device='cuda:0')\n"), ("u1 a c\n", "u1 -2.0\n")]
    for folder in ("", "logdir/output.1"):
        top = tmp_path / (folder.replace("/", "-") or "top")
        for rank, (text, score) in enumerate(best, 1):
            place = top / folder / f"{rank}best_recog"
            place.mkdir(parents=True)
            (place / "text").write_text(text)
            (place / "score").write_text(score)
        assert read_nbest(top) == EXPECTED
        assert read_nbest(top, "espnet") == EXPECTED
    (place / "score").write_text("u9 -2.0\n")
    with pytest.raises(TextError, match=r"score lacks u1, which .*text has"):
        read_nbest(top)
    (place / "score").write_text("u1 good\n")
    with pytest.raises(TextError, match=r"score, line 1: the score must be a finite number, got 'good'"):
        read_nbest(top)


SRILM = {
    "u1.nbest": ["NBestList1.0", "(-15) a b", "(-20) a c"],
    "u2.nbest": [
        "NBestList2.0",
        "(-30) hi ( st: 0 et: 0.5 g: -1 a: -2 ) h ( st: 0 et: 0.2 g: 0 a: -1 ) you ( st: 0.6 et: 0.9 g: -1 a: -2 )",
    ],
    "u3.score": ["-1.5 -2.5 2 a b", "-2 -1 0"],
}


def test_the_three_formats_of_srilm_are_read(tmp_path: Path) -> None:
    for name, lines in SRILM.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    first, second, third = read_nbest(tmp_path, "srilm")
    assert first == Utterance("u1", (Candidate(1, -15 * BYTELOG, "a b"), Candidate(2, -20 * BYTELOG, "a c")))
    assert second == Utterance("u2", (Candidate(1, -30 * BYTELOG, "hi you"),))
    assert third == Utterance("u3", (Candidate(1, -1.5 * NATS, "a b"), Candidate(2, -2 * NATS, "")))
    assert math.isclose(BYTELOG, math.log(1.0001) * 1024, rel_tol=1e-4)
    assert read_nbest(tmp_path / "u1.nbest") == [first]
    assert read_nbest(tmp_path / "u3.score", "srilm") == [third]
    names = tmp_path / "list"
    names.write_text("u1.nbest\nu3.score\n")
    assert read_nbest(names, "srilm") == [first, third]
    names.write_text("u1.nbest\nnone.nbest\n")
    with pytest.raises(TextError, match=r"list, line 2: there is no file .*none\.nbest"):
        read_nbest(names, "srilm")


@pytest.mark.parametrize(
    ("lines", "format", "message"),
    [
        (["u ||| a ||| x ||| high"], "moses", "the n-best list, line 1: the score must be a finite number, got 'high'"),
        (["u ||| a ||| ||| -1", "u a"], "moses", ", line 2: a line of Moses must be `id ||| text ||| features"),
        (["NBestList3.0"], "auto", ", line 1: the header must be NBestList1.0 or NBestList2.0, got 'NBestList3.0'"),
        (["NBestList1.0", "a b"], "auto", ", line 2: a line of NBestList1.0 must be `(score) w1 w2 …`"),
        (["NBestList2.0", "(-3) a b"], "auto", ", line 2: a line of NBestList2.0 must be"),
        (["-1 -2 a"], "srilm", ", line 1: a line must be `acoustic lm words w1 w2 …`"),
        (['{"utt": "u", "hyps": ["a"]}', "{"], "auto", ", line 2 is not valid JSON"),
        (['{"utt": "u", "hyps": ["a"]}', "[1]"], "auto", ", line 2: an utterance must be"),
        (['[{"utt": "u", "hyps": [{"score": 1}]}]'], "auto", ": utterance 1, candidate 1 has no text"),
        (['{"u": [{"text": "a", "score": "x"}]}'], "auto", ": utterance u, candidate 1: the score must be a finite"),
        (['{"u": [{"text": "a", "score": NaN}]}'], "auto", ": utterance u, candidate 1: the score must be a finite"),
        (['{"utts": {"u": {"output": 1}}}'], "auto", ": utterance u has no list `output`"),
        (["[" * 100_000], "auto", " is not valid JSON"),
        ([], "moses", " holds no candidate"),
        ([], "json", " is not valid JSON"),
    ],
)  # fmt: skip
def test_a_broken_list_is_an_error_that_names_the_place(
    lines: list[str], format: Format, message: str
) -> None:
    with pytest.raises(TextError) as error:
        read_nbest(lines, format)
    assert message.removeprefix("the n-best list") in str(error.value)


def test_a_format_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`format` must be one of auto, tsv, kaldi"):
        read_nbest(["u\ta"], "htk")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="is not a folder, as Kaldi's lists are"):
        read_nbest(["u\ta"], "kaldi")
    with pytest.raises(ConfigError, match="is a folder; `format='moses'` needs a file"):
        read_nbest(tmp_path, "moses")
    with pytest.raises(TextError, match="has no folder 1best_recog"):
        read_nbest(tmp_path, "espnet")


def test_rescore_reads_any_format(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    good, bad = "tom was watching tv in his room .", "tom was tv watching in his room ."
    path.write_text(json.dumps({"utt": "u", "hyps": [bad, good]}))
    for format in ("auto", "json"):
        found = rescore(sentence_model(), path, format=format, lm_weight=1.0)
        assert found.lines() == [f"u\t{good}"]
