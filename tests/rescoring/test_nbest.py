"""N-best lists as tables and Kaldi folders, and errors for broken ones."""

import math
from pathlib import Path

import pytest

from elman.errors import RunError, TextError
from elman.rescoring.nbest import Candidate, Utterance, read_kaldi, read_references, read_tsv, write_kaldi


def test_a_header_names_the_columns_in_any_order_and_ranks_order_the_candidates() -> None:
    lines = [
        "utterance\ttext\tnote\tscore\trank",
        "u1\ta b\tx\t-2.5\t2",
        "u2\t\tx\t-1\t1",
        "u1\tb\tx\t-1\t1",
        "",
    ]
    first, second = read_tsv(lines, "f")
    assert first.name == "u1"
    assert first.candidates == (Candidate(1, -1.0, "b"), Candidate(2, -2.5, "a b"))
    assert second.candidates == (Candidate(1, -1.0, ""),)


def test_without_a_header_there_are_two_or_three_columns() -> None:
    assert read_tsv(["u\ta", "u\tb"], "f")[0].candidates == (Candidate(1, 0.0, "a"), Candidate(2, 0.0, "b"))
    assert read_tsv(["u\t-3\ta"], "f")[0].candidates == (Candidate(1, -3.0, "a"),)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "f holds no candidate"),
        (["utterance\trank\tscore\ttext"], "f holds no candidate"),
        (["utterance\trank\tscore"], "f, line 1: the header must name utterance, rank, score, text"),
        (["only words"], "f, line 1: 1 fields; a table without a header has 2"),
        (["u\ta", "", "u b"], "f, line 3: 1 fields, but there must be 2 (utterance, text)"),
        (["u\t-1\ta", "u\tnan\tb"], "f, line 2: the score must be a finite number, got 'nan'"),
        (["u\t-1\ta", "u\tinf\tb"], "f, line 2: the score must be a finite number, got 'inf'"),
        (["u\tx\ta"], "f, line 1: the score must be a finite number, got 'x'"),
        (
            ["utterance\trank\ttext", "u\t0\ta"],
            "f, line 2: the rank must be an integer ≥ 1, got '0'",
        ),
        (["utterance\trank\ttext", "u\t1\ta", "u\t1\tb"], "f, line 3: utterance u has a candidate of rank 1"),
        (["u\ta", "v\tb", "u\tc"], "f, line 3: utterance u appears again after others"),
        ([" \ta"], "f, line 1: the utterance has no name"),
    ],
)
def test_a_broken_table_is_an_error_that_names_the_line(lines: list[str], message: str) -> None:
    with pytest.raises(TextError) as error:
        read_tsv(lines, "f")
    assert str(error.value).startswith(message)


def test_references_may_be_empty_and_come_once_each() -> None:
    assert read_references(["u1 a  b ", "u2", "", "u3\tc"], "r") == {"u1": "a  b", "u2": "", "u3": "c"}
    with pytest.raises(TextError, match="r, line 2: utterance u1 has a reference already"):
        read_references(["u1 a", "u1 b"], "r")
    with pytest.raises(TextError, match="r holds no reference"):
        read_references([], "r")


LIST = [
    Utterance("a-1", (Candidate(1, -0.1, "X Y", -3.25), Candidate(2, 1 / 3, "", -1e-9))),
    Utterance("b", (Candidate(1, 0.0, "Z", -2.0),)),
]


@pytest.mark.parametrize("lm", [True, False])
def test_round_trip(tmp_path: Path, lm: bool) -> None:
    given = (
        LIST
        if lm
        else [
            Utterance(u.name, tuple(Candidate(c.rank, c.score, c.text) for c in u.candidates)) for u in LIST
        ]
    )
    write_kaldi(tmp_path / "n", given)
    assert read_kaldi(tmp_path / "n") == given
    assert (tmp_path / "n" / "lm_cost").exists() == lm
    assert (tmp_path / "n" / "words_text").read_text() == "a-1-1 X Y\na-1-2\nb-1 Z\n"
    assert (tmp_path / "n" / "ac_cost").read_text().startswith("a-1-1 0.1\n")
    assert [path.name for path in tmp_path.iterdir()] == ["n"]


def test_a_probability_of_0_is_a_finite_cost(tmp_path: Path) -> None:
    write_kaldi(tmp_path / "n", [Utterance("u", (Candidate(1, -1.0, "x", -math.inf),))])
    assert (tmp_path / "n" / "lm_cost").read_text() == "u-1 1e+10\n"


def test_an_existing_folder_and_a_missing_parent_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="exists already"):
        write_kaldi(tmp_path, LIST)
    with pytest.raises(RunError, match="cannot make the folder"):
        write_kaldi(tmp_path / "no" / "n", LIST)


@pytest.mark.parametrize(
    ("words", "costs", "message"),
    [
        ("u-1 a\nu-1 b\n", "u-1 1\n", "line 2: u-1 appears a second time"),
        ("u a\n", "u-1 1\n", "line 1: a line must begin with UTTERANCE-RANK, got 'u'"),
        ("u-x a\n", "u-1 1\n", "line 1: the rank must be an integer ≥ 1, got 'x'"),
        ("u-1 a\n", "u-1 nan\n", "line 1: the score must be a finite number, got 'nan'"),
        ("u-1 a\n", "u-1\n", "line 1: the score must be a finite number, got ''"),
        ("u-1 a\nu-2 b\n", "u-1 1\n", "ac_cost lacks u-2"),
        ("u-1 a\n", "u-1 1\nu-2 1\n", "words_text lacks u-2"),
        ("", "", "words_text holds no candidate"),
    ],
)
def test_a_broken_folder_is_an_error(tmp_path: Path, words: str, costs: str, message: str) -> None:
    (tmp_path / "words_text").write_text(words)
    (tmp_path / "ac_cost").write_text(costs)
    with pytest.raises(TextError) as error:
        read_kaldi(tmp_path)
    assert message in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "words_text").write_text("u-1 a\n")
    with pytest.raises(TextError, match="ac_cost: there is no such file"):
        read_kaldi(tmp_path)
