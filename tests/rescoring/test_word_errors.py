"""Word errors: those of jiwer, compared with the definition."""

from collections.abc import Sequence

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from elman.errors import MissingExtra, TextError
from elman.rescoring.nbest import Candidate, Utterance
from elman.rescoring.rescorer import by_speaker, first_half, speaker_of
from elman.rescoring.word_errors import error_table, gain_interval, word_errors

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


def test_the_interval_covers_the_gain_and_narrows_with_more_utterances() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for U in (100, 2500):
        first = rng.poisson(3, U).astype(float)
        rescored = np.maximum(0, first - rng.integers(0, 2, U))
        low, high = gain_interval(first, rescored, [str(k) for k in range(U)], np.random.default_rng(1), 2000)
        assert low < 1 - rescored.sum() / first.sum() < high
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(5, rel=0.3)


def test_the_same_seed_gives_the_same_interval_and_groups_are_drawn_whole() -> None:
    first, rescored = np.array([4.0, 4, 2, 2]), np.array([2.0, 2, 2, 2])
    alone = [gain_interval(first, rescored, list("abcd"), np.random.default_rng(3)) for _ in range(2)]
    assert alone[0] == alone[1]
    assert gain_interval(first, rescored, list("aabb"), np.random.default_rng(3)) == (0.0, 0.5)
    assert gain_interval(first, first, list("aaaa"), np.random.default_rng(3)) == (0.0, 0.0)
    assert np.isnan(gain_interval(0 * first, 0 * first, list("abcd"), np.random.default_rng(3))).all()


def test_the_speaker_is_the_part_before_the_separator() -> None:
    assert speaker_of("84-121123-0001") == "84"
    assert speaker_of("84-121123-0001", "_") == "84-121123-0001"
    assert speaker_of("ann_3", "_") == "ann"
    assert by_speaker(["b-2", "a-1", "b-1", "c-1", "b-3"]) == [[2, 0, 4], [1], [3]]


@pytest.mark.parametrize(
    ("names", "half"),
    [
        (["a-1", "a-2", "b-1", "b-2"], [1, 1, 0, 0]),
        (["a-1", "b-1", "b-2", "b-3"], [1, 0, 0, 0]),
        (["a-1", "a-2", "a-3", "b-1"], [1, 1, 1, 0]),
        (["a-1", "b-1", "a-2", "b-2"], [1, 0, 1, 0]),
        (["a-1", "a-2", "a-3"], [1, 0, 0]),
        (["x", "y", "z", "w"], [1, 1, 0, 0]),
        (["x"], [0]),
    ],
)
def test_halves_share_no_speaker_where_there_are_several(names: list[str], half: list[int]) -> None:
    assert first_half(names).astype(int).tolist() == half
