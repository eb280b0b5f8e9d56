"""Word errors: jiwer's, by the definition."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from elman.errors import MissingExtra, TextError
from elman.rescoring.nbest import Candidate, Utterance
from elman.rescoring.word_errors import error_table, word_errors

jiwer = pytest.importorskip("jiwer")
TEXTS = st.lists(st.sampled_from("abc"), max_size=6).map(" ".join)


def distance(a: Sequence[str], b: Sequence[str]) -> int:
    """The edit distance, by its definition."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=4))
def test_errors_are_the_edit_distance(reference: str, candidates: list[str]) -> None:
    expected = [distance(reference.split(), text.split()) for text in candidates]
    assert word_errors(reference, candidates).tolist() == expected


def test_summed_errors_are_the_word_error_rate() -> None:
    references = ["tom was watching tv", "mary said hi", "a b c"]
    texts = ["tom was watch in tv", "merry said", "a  c b d"]
    errors = sum(int(word_errors(r, [t])[0]) for r, t in zip(references, texts, strict=True))
    assert errors / 10 == pytest.approx(jiwer.wer(references, texts))


def test_the_table_compares_in_one_case_and_pads() -> None:
    utterances = [
        Utterance("u", (Candidate(1, 0, "A b"), Candidate(2, 0, ""))),
        Utterance("v", (Candidate(1, 0, "c"),)),
    ]
    errors, words = error_table(utterances, {"u": "a B", "v": "", "w": "x"}, "lower")
    assert_array_equal(errors, [[0, 2], [1, float("inf")]])
    assert words.tolist() == [2, 0]


def test_a_missing_reference_and_a_missing_library_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TextError, match="without a reference: 1 of 1, the first is u"):
        error_table([Utterance("u", (Candidate(1, 0, "a"),))], {"v": "a"}, "asis")
    monkeypatch.setitem(__import__("sys").modules, "jiwer", None)
    with pytest.raises(MissingExtra, match=r"elman\[rescore\]"):
        word_errors("a", ["a"])
