"""Properties of texts, character by character, by words and by bytes, in English and Korean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.inspection.text_properties import BRACKETS, PROPERTIES, QUOTES, EncodedText, enclosed, property_of
from elman.text.offsets import token_offsets
from elman.text.tokenizers import make_tokenizer
from support.tiny import text_model


def values(name: str, text: str, level: str = "char") -> list[int]:
    offsets = token_offsets(make_tokenizer(level), text)
    coded = EncodedText(text, [""] * len(offsets), np.zeros(len(offsets), np.intp), offsets, None)
    return property_of(coded, name).astype(int).tolist()


def digits(name: str, text: str, level: str = "char") -> str:
    return "".join(map(str, values(name, text, level)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('a "bc" d', "00111000"),
        ("‘don’t’ a", "111111000"),
        ("그는 “가자”라고", "000111000"),
        ("«a» ‹b› 「다」『라』", "11001100110110"),
        ("“a ‘b’ c” d", "11111111000"),
        ("“a\n\n“b” c", "111011000"),
        ("„a“ b", "11000"),
        ("it's ' a", "00000000"),
        ("a” b", "0000"),
    ],
)
def test_within_quotation_marks(text: str, wanted: str) -> None:
    assert digits("inside_quotes", text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("f(x[1])) y", "0111110000"), ("《시》 (a", "110011"), ("([)] b", "110000")],
)
def test_within_brackets(text: str, wanted: str) -> None:
    assert digits("inside_brackets", text) == wanted


def test_places() -> None:
    text = "ab c.\n\nd’e f"
    assert digits("line_position", text) == "123450012345"
    assert digits("word_position", text) == "120100012301"
    assert digits("word_length", text) == "220100033301"
    assert digits("word_start", text) == "100100010001"
    assert values("text_position", text) == list(range(1, 13))
    assert digits("line_position", "a\r\nbc", "word") == "102"


def test_the_position_in_a_sentence() -> None:
    assert digits("sentence_position", "a bc 3.5. d") == "11222334001"
    assert digits("sentence_position", "tom was in . mary came", "word") == "123012"
    assert digits("sentence_position", "가 나！ 다") == "112001"


def test_kinds_of_characters() -> None:
    text = "Ab 7.가!"
    assert digits("capital", text) == "1000000"
    assert digits("digit", text) == "0001000"
    assert digits("space", text) == "0010000"
    assert digits("punctuation", text) == "0000101"
    assert digits("punctuation", "tom said: hi", "word") == "010"
    assert digits("capital", "tom McCoy", "word") == "01"


def test_after_a_name() -> None:
    assert digits("after_name", "to Tom, hi I do") == "000000111100000"
    assert digits("after_name", "The man saw the cat and Mary saw Tom", "word") == "000000010"
    assert digits("after_name", "Tom\nwas", "word") == "011"
    assert set(values("after_name", "그는 말했다")) == {0}


def test_parts_of_a_character_have_its_properties() -> None:
    assert digits("inside_quotes", "「가」", "byte") == "111111000"
    assert digits("word_position", "가나", "byte") == "111222"
    assert digits("word_position", "가난", "jamo") == "11222"


@settings(max_examples=25, deadline=None)
@given(text=st.text(st.characters(categories=["L", "N", "P", "Z", "Cc"]), max_size=30))
def test_any_text_has_its_numbers(text: str) -> None:
    for level in ("char", "word", "jamo", "byte"):
        tokens = len(token_offsets(make_tokenizer(level), text))
        for name in PROPERTIES:
            assert tokens == 0 or len(values(name, text, level)) == tokens


@settings(max_examples=25, deadline=None)
@given(st.text(st.sampled_from('ab \n“”‘’"「」()[]'), max_size=40))
def test_outside_all_pairs_nothing_is_open(text: str) -> None:
    for pairs in (QUOTES, BRACKETS):
        found = enclosed(text, pairs)
        assert len(found) == len(text)
        first = next((i for i, c in enumerate(text) if c in pairs), len(text))
        assert not found[:first].any()


def test_a_span_marks_the_tokens_that_overlap_it() -> None:
    coded = EncodedText.of(text_model("word"), "tom was watching tv")
    assert property_of(coded, (5, 9)).tolist() == [0, 1, 1, 0]
    assert property_of(coded, (3, 4)).tolist() == [0, 0, 0, 0]
