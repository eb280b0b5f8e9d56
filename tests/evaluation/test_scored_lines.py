"""Scores of lines as rows: the choices of their columns, conflicts, and what a stream does."""

import io
import math
from typing import Any

import pytest

from elman.errors import ConfigError, TextError
from elman.evaluation.line_scores import score_line
from elman.evaluation.srilm import srilm_report
from elman.text.sources import read_lines
from support.tiny import STORY, text_model

LINES = STORY.splitlines()


def test_rows_are_the_scores_of_the_lines() -> None:
    given = text_model()
    table = given.score_lines(LINES)
    assert list(table.to_dict()) == ["ln_prob", "log10_prob", "perplexity", "tokens", "unknown", "text"]
    for number, (row, line) in enumerate(zip(table, LINES, strict=True), 1):
        assert (row.line, row.text) == (number, line)
        assert row.ln_prob == pytest.approx(score_line(given, line).ln_prob)


def test_columns_follow_the_unit_and_the_mean() -> None:
    given = text_model()
    plain, bits = given.score_lines(LINES), given.score_lines(LINES, unit="bits", normalize="char").to_dict()
    assert list(bits) == ["log2_prob_per_char", "perplexity", "tokens", "characters", "unknown", "text"]
    for row, value in zip(plain, bits["log2_prob_per_char"], strict=True):
        assert value == pytest.approx(row.ln_prob / math.log(2) / (len(row.text) + 1))


def test_the_least_probable_lines_come_with_their_numbers() -> None:
    found = text_model().score_lines(LINES, top=2)
    assert list(found.to_dict())[:2] == ["line", "ln_prob_per_token"]
    every = text_model().score_lines(LINES)
    lowest = sorted(every, key=lambda row: row.ln_prob / row.tokens)[:2]
    assert [row.line for row in found] == [row.line for row in lowest]


def test_a_row_per_token_has_all_numbers_in_one_unit() -> None:
    given = text_model()
    bits, nats = (
        given.score_lines(LINES[:1], per_token=True),
        given.score_lines(LINES[:1], per_token=True, unit="nats"),
    )
    assert [row.token for row in bits] == [*LINES[0].split(), "<eos>"]
    columns = nats.to_dict()
    assert columns["line"] == [1] * len(bits)
    assert columns["surprisal_nats"] == pytest.approx([row.surprisal_bits * math.log(2) for row in bits])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_token": True, "top": 3}, "`per_token` and `top` cannot be used together; leave one out"),
        ({"per_token": True, "normalize": "char"}, "`per_token` and `normalize` cannot be used together"),
        ({"top": 0}, "`top` must be ≥ 1, or None for all lines; got 0"),
        ({"unit": "bit"}, "`unit` must be one of None, nats, bits, log10, got 'bit'"),
        ({"state": "keep"}, "`state` must be one of reset, carry, got 'keep'"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        text_model().score_lines(LINES, **options)


def broken() -> io.BytesIO:
    return io.BytesIO(STORY.encode() + b"\xff")


def test_what_was_read_before_an_error_is_not_lost() -> None:
    given = text_model()
    stream = given.stream_scores(broken(), top=2)
    assert [next(stream).text for _ in range(2)] == [row.text for row in given.score_lines(LINES, top=2)]
    with pytest.raises(TextError, match="byte 0xff"):
        next(stream)
    report = srilm_report(given, read_lines(broken()), "lines")
    paragraphs = [next(report) for _ in LINES]
    assert paragraphs[0].startswith(f"{LINES[0]}\n\tp( ")
    assert next(report).startswith(f"file lines: {len(LINES)} sentences")
    with pytest.raises(TextError):
        next(report)
