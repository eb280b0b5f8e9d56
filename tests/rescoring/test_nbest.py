"""N-best lists as tables: their forms, and what is wrong with a broken one."""

import pytest

from elman.errors import TextError
from elman.rescoring.nbest import Candidate, read_references, read_tsv


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
            "f, line 2: the rank must be a whole number from 1 on, got '0'",
        ),
        (["utterance\trank\ttext", "u\t1\ta", "u\t1\tb"], "f, line 3: utterance u has a candidate of rank 1"),
        (["u\ta", "v\tb", "u\tc"], "f, line 3: utterance u comes again after others"),
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
