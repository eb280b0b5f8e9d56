"""Surprisals as a table: sentences from all sources, kept columns, TSV, colours."""

import json
import logging
import math
import re
from pathlib import Path
from typing import Any

import pytest

from elman.errors import ConfigError, TextError
from elman.evaluation.colours import MAX_BITS, MIN_BITS, SURPRISAL, surprisal_colours
from elman.evaluation.sentences import read_sentences
from elman.evaluation.surprisal import token_scores, word_scores
from elman.web import read_assets
from support.tiny import text_model

SENTENCES = ["tom was reading .", "mary said hi"]


def texts(source: Any, column: str | None = None) -> list[str]:
    return [sentence.text for sentence in read_sentences(source, column)]


def test_a_string_is_one_text_and_its_lines_are_sentences() -> None:
    assert texts("a b\nc") == texts("a b\r\nc\n") == ["a b", "c"]
    assert texts("a\n\nb\n\n") == ["a", "", "b", ""]
    assert texts("") == [""]


def test_sentences_come_from_lists_generators_and_files(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    assert texts(SENTENCES) == texts(iter(SENTENCES)) == texts(path) == SENTENCES
    with path.open("rb") as stream:
        assert texts(stream) == SENTENCES


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'id,text,group\n1,"tom, was",a\n\n2,"mary\nsaid ""hi""",b\n'),
        ("a.tsv", 'id\ttext\tgroup\n1\ttom, was\ta\n2\t"mary\nsaid ""hi"""\tb'),
        ("utf-8 with a mark", '\ufeffid,text,group\r\n1,"tom, was",a\r\n2,"mary\nsaid ""hi""",b\r\n'),
    ],
)
def test_a_csv_file_keeps_its_other_columns(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    for given in (path, str(path)):
        found = read_sentences(given, "text")
        assert found.columns == ("id", "group")
        rows = [(sentence.text, dict(sentence.kept)) for sentence in found]
        assert rows == [
            ("tom, was", {"id": "1", "group": "a"}),
            ('mary\nsaid "hi"', {"id": "2", "group": "b"}),
        ]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a,b\n1,2\n", ConfigError, "has no column 'text'; its columns: 'a', 'b'"),
        ("", ConfigError, "has no column 'text'; its columns: none"),
        ("text,a,a\n1,2,3\n", ConfigError, "has two columns of one name"),
        ("text,a\nx,1\ny\n", TextError, "line 3: 1 columns, but 2 in the first line"),
        ("text,a\n" + "x" * 200_000 + ",1\n", TextError, "cannot be read as CSV"),
    ],
)
def test_a_wrong_csv_file_is_refused(tmp_path: Path, text: str, error: type, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        texts(path, "text")


def test_a_table_needs_a_column_of_sentences() -> None:
    table = {"n": [1, 2], "text": ["tom", None]}
    with pytest.raises(ConfigError, match=r"name the column of the sentences: `column='n'`; the table has"):
        texts(table)
    with pytest.raises(ConfigError, match="row 2 of column 'text' must be a str, got None"):
        texts(table, "text")
    with pytest.raises(ConfigError, match="the table has no column 'x'"):
        texts(table, "x")


def test_a_data_frame_keeps_its_columns_and_not_its_index() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": SENTENCES, "item": [7, 8]}, index=["x", "y"])
    found = text_model().surprisal(frame, column="text").to_pandas()
    assert list(found.columns)[-1] == "item"
    assert found.groupby("item").size().to_dict() == {7: 5, 8: 4}
    assert list(found.index) == list(range(9))
    assert texts(frame["text"]) == SENTENCES


def test_rows_are_the_scores_of_words_and_tokens() -> None:
    given = text_model("char")
    words, tokens = given.surprisal(SENTENCES), given.surprisal(SENTENCES, per="token")
    expected = [[*word_scores(given, line)] for line in SENTENCES]
    assert [word.surprisal_bits for word in words] == [
        score.surprisal_bits for row in expected for score in row
    ]
    assert [word.sentence for word in words] == [1] * 5 + [2] * 4
    assert len(tokens) == sum(len(list(token_scores(given, line))) for line in SENTENCES)
    assert sum(token.surprisal_bits for token in tokens) == pytest.approx(
        sum(word.surprisal_bits for word in words)
    )
    assert tokens.to_dict().keys() - words.to_dict().keys() == {"token"}


def test_in_a_document_a_sentence_follows_the_one_before() -> None:
    given = text_model()
    alone = given.surprisal(SENTENCES)
    whole = given.surprisal("\n".join(SENTENCES), context="document")
    assert [word.surprisal_bits for word in whole[:5]] == [word.surprisal_bits for word in alone[:5]]
    assert whole[5].surprisal_bits != alone[5].surprisal_bits


def test_boundaries_are_optional() -> None:
    given = text_model()
    found = given.surprisal(SENTENCES, bos=False, eos=False)
    assert [word.word for word in found] == " ".join(SENTENCES).split()
    assert found[0].surprisal_bits == given.surprisal("tom", bos=False)[0].surprisal_bits
    assert found[0].surprisal_bits != given.surprisal("tom")[0].surprisal_bits


def test_wrong_arguments_are_refused() -> None:
    given: Any = text_model()
    with pytest.raises(ConfigError, match="`per` must be 'word' or 'token', got 'line'"):
        given.surprisal("tom", per="line")
    with pytest.raises(ConfigError, match="`context` must be 'sentence' or 'document'"):
        given.surprisal("tom", context="text")
    with pytest.raises(ConfigError, match="the result has a column 'rank' of its own"):
        given.surprisal({"text": ["tom"], "rank": [1]}, column="text")


def test_the_file_has_a_line_for_each_row(tmp_path: Path) -> None:
    found = text_model().surprisal({"text": SENTENCES, "note": ["a\tb", "c\nd"]}, column="text")
    found.write(tmp_path / "out.tsv")
    head, *rows = (tmp_path / "out.tsv").read_text(encoding="utf-8").splitlines()
    assert head.split("\t") == list(found.columns) == list(found.to_dict())
    assert [row.split("\t")[-1] for row in rows] == ["a b"] * 5 + ["c d"] * 4
    assert rows[0].split("\t")[:4] == ["1", "1", "tom", f"{found[0].surprisal_bits:.6f}"]


def test_without_sentences_a_table_has_its_columns() -> None:
    assert list(text_model().surprisal([]).to_dict()) == list(text_model().surprisal("tom").to_dict())


def test_impossible_sentences_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "elman"):
        found = text_model().surprisal(["tom yodelled", "tom"])
    assert math.isinf(found[1].surprisal_bits)
    assert "which has no <unk>: 1; their probability is 0; `train(min_count=2)`" in caplog.text


def test_a_notebook_shows_the_words_in_their_colours() -> None:
    html = text_model("char", " <tomwas>\n").surprisal(["tom  was <", "tom"])._repr_html_()
    plain = re.sub(r"<style>.*</style>|<(?!p>)[^>]*>", "", html, flags=re.DOTALL)
    assert plain == "<p>tom  was &lt;⏎<p>tom⏎"
    assert html.count("<span style=") == 6
    assert re.search(r'title="[\d.]+ bits, rank \d+, P [\d.]+"', html)
    assert "prefers-color-scheme: dark" in html


def test_the_colours_are_those_of_the_page() -> None:
    script = read_assets()["js/colour.js"].body.decode()
    for scheme, colours in SURPRISAL.items():
        assert f"{scheme}: {json.dumps(colours)}" in script
    assert f"MIN_BITS = {MIN_BITS};" in script
    assert f"MAX_BITS = {MAX_BITS:g};" in script


def test_the_scale_is_logarithmic_and_ends_at_20_bits() -> None:
    assert (
        surprisal_colours(0.0, "light")
        == surprisal_colours(0.1, "light")
        == ("rgb(253 251 246)", "rgb(0 0 0)")
    )
    assert surprisal_colours(math.inf, "light") == surprisal_colours(20, "light")
    assert surprisal_colours(20, "light") == ("rgb(87 32 10)", "rgb(255 255 255)")
    assert surprisal_colours(20, "dark")[1] == "rgb(0 0 0)"
    assert surprisal_colours(math.sqrt(0.1 * 20), "light")[0] == "rgb(236 154 60)"  # halfway
