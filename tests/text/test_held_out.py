"""Holding out the end of a text, and reading the other tokens."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import TextError
from elman.text import held_out
from elman.text.corpus import encode_corpus
from elman.text.held_out import Cut, hold_out
from elman.text.tokenizers import LEVELS, make_tokenizer

LINE = "one two three four five six seven eight nine\n"  # ten tokens


def written(folder: Path, text: str) -> list[Path]:
    (folder / "text.txt").write_text(text, encoding="utf-8")
    return [folder / "text.txt"]


def cut_of(folder: Path, text: str, level: str = "word", max_tokens: int | None = None) -> Cut:
    return hold_out(written(folder, text), make_tokenizer(level), cache=None, max_tokens=max_tokens)


@pytest.mark.parametrize(
    ("lines", "learnt"),
    [(400, 3800), (401, 3810), (199, 1890), (100, 900), (50, 400), (49, 460), (10, 90), (3, 20), (2, 10)],
)
def test_whole_lines_at_least_five_percent_and_mostly_ten_lines(
    tmp_path: Path, lines: int, learnt: int
) -> None:
    assert cut_of(tmp_path, LINE * lines) == Cut(lines * 10, learnt)


@pytest.mark.parametrize(
    ("text", "learnt"),
    [("a b " * 100, 191), ("a\n" + "b " * 99, 97), ("a", 1), ("a b", 2), ("a\n" * 10 + "b " * 9, 20)],
    ids=[
        "one line",
        "a last line of most of the text",
        "two tokens",
        "three",
        "a last line of less than half",
    ],
)
def test_a_text_without_such_lines_is_cut_between_tokens(tmp_path: Path, text: str, learnt: int) -> None:
    assert cut_of(tmp_path, text).learnt == learnt


@pytest.mark.parametrize(("level", "line"), [("char", 9), ("jamo", 7 * 2 + 2), ("byte", 7 * 3 + 2)])
def test_characters_are_held_out_by_lines_too(tmp_path: Path, level: str, line: int) -> None:
    found = cut_of(tmp_path, "가나다라 마바사\n" * 100, level)
    assert found == Cut(100 * line, 90 * line)


def test_the_end_of_the_first_tokens_is_held_out(tmp_path: Path) -> None:
    assert cut_of(tmp_path, LINE * 100, max_tokens=200) == Cut(200, 190)


@pytest.mark.parametrize("text", ["", "x"])
def test_a_text_of_one_token_is_too_short(tmp_path: Path, text: str) -> None:
    with pytest.raises(TextError, match=r"text.txt is too short to hold out a part of it: it has \d tokens"):
        cut_of(tmp_path, text, "char")


def test_the_cut_is_cached_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources, word = written(tmp_path, LINE * 100), make_tokenizer("word")
    first = hold_out(sources, word, cache=tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(held_out, "read_pieces", lambda *given: pytest.fail("read again"))
        assert hold_out(sources, word, cache=tmp_path / "cache") == first
    written(tmp_path, LINE * 50)
    assert hold_out(sources, word, cache=tmp_path / "cache") == Cut(500, 400)
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(b"{}")
    assert hold_out(sources, word, cache=tmp_path / "cache") == Cut(500, 400)


def test_only_some_ends_of_many_lines_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "MOST_ENDS", 64)
    found = cut_of(tmp_path, LINE * 5000)
    assert found.learnt % 10 == 0
    assert 0.85 < found.learnt / found.tokens <= 0.95


@pytest.mark.parametrize("level", LEVELS)
@settings(max_examples=25, deadline=None)
@given(text=st.text("ab가 \n", min_size=1, max_size=60), skip=st.integers(0, 70), count=st.integers(1, 70))
def test_skipped_tokens_are_not_read(
    tmp_path_factory: pytest.TempPathFactory, level: str, text: str, skip: int, count: int
) -> None:
    sources = written(tmp_path_factory.mktemp("text"), text)
    tokenizer = make_tokenizer(level)
    whole = encode_corpus(sources, tokenizer, cache=None)
    skip = min(skip, whole.tokens - 1)
    part = encode_corpus(
        sources,
        tokenizer,
        cache=None,
        vocabulary=whole.vocabulary,
        skip_tokens=skip,
        max_tokens=count,
    )
    np.testing.assert_array_equal(part.ids, whole.ids[skip : skip + count])


def test_skipped_tokens_and_kept_tokens_are_the_text(tmp_path: Path) -> None:
    sources, word = written(tmp_path, LINE * 3), make_tokenizer("word")
    for _ in range(2):
        for skip in (0, 10, 20):
            assert encode_corpus(sources, word, cache=tmp_path / "c", skip_tokens=skip).tokens == 30 - skip
