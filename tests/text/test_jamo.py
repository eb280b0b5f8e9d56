"""Hangul syllables as letters: any text comes back, and a stream of letters becomes whole syllables."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elman.text.decoders import JamoDecoder
from elman.text.jamo import READABLE, letter_counts, spelled
from elman.text.reading import normalise
from elman.text.tokenizers import JamoTokenizer, make_tokenizer

JAMO = JamoTokenizer()
SYLLABLES = [chr(code) for code in range(0xAC00, 0xD7A4)]
LETTERS = st.sampled_from([chr(code) for code in range(0x1100, 0x1200)])  # those of old Korean among them
ODD = st.sampled_from("한가각힣ㅋㅏㄳ\uabff\ud7a4\ua960\ud7b0\ud7cb\u302e\u0301\u200d🙂é a\n\r\ufeff\0")
TEXTS = st.text(st.sampled_from(SYLLABLES) | LETTERS | ODD, max_size=20)


def test_every_syllable_is_spelled_as_unicode_decomposes_it() -> None:
    whole = "".join(SYLLABLES)
    assert spelled(whole) == unicodedata.normalize("NFD", whole)
    assert letter_counts(whole).tolist() == [len(unicodedata.normalize("NFD", each)) for each in SYLLABLES]
    assert JAMO.join(JAMO.tokens(whole)) == whole


@settings(deadline=None)
@given(TEXTS)
@example("\u1100\u1100\u1161\u11a8\u11a8 가\u11a7\u1161 ㄱㅏ")
def test_any_text_comes_back(text: str) -> None:
    text = normalise(text)
    tokens = JAMO.tokens(text)
    assert JAMO.join(tokens) == text
    assert letter_counts(text).tolist() == [len(JAMO.tokens(character)) for character in text]
    assert len(tokens) == letter_counts(text).sum()


@settings(deadline=None)
@given(st.lists(LETTERS, max_size=20))
def test_any_letters_come_back(letters: list[str]) -> None:
    text = JAMO.join(letters)
    assert text == normalise("".join(letters))
    assert JAMO.tokens(text) == letters


@settings(deadline=None)
@given(TEXTS | st.lists(LETTERS).map("".join))
def test_a_stream_is_made_of_whole_characters(text: str) -> None:
    tokens = JAMO.tokens(normalise(text))
    whole, decoder, written = JAMO.join(tokens), JamoDecoder(), [""]
    for k, token in enumerate(tokens):
        place = len(written[-1]) + decoder.held_before(token)
        written.append(written[-1] + decoder.push(token))
        held = JAMO.join(tokens[: k + 1]).removeprefix(written[-1])
        assert len(held) <= 1
        assert place == len(written[-1]) + len(held) - 1  # of the character that the token belongs to
    assert written[-1] + decoder.finish() == whole
    assert all(whole.startswith(part) for part in written)
    assert all(after.startswith(before) for before, after in pairwise(written))


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ("ᄒ ᅡ ᆫ", ["", "", "한"]),
        ("ᄒ ᅡ ᄂ ᅡ a", ["", "", "하", "", "나a"]),
        ("ᄒ ᄒ ᆫ ᅡ", ["", "ᄒ", "ᄒᆫ", "ᅡ"]),
        ("ᄒ ᅡ ᆫ ᆫ", ["", "", "한", "ᆫ"]),
        ("ᄒ ᅡ <unk>", ["", "", "하<unk>"]),
    ],
)
def test_a_syllable_is_written_when_it_is_complete(tokens: str, expected: list[str]) -> None:
    assert list(map(JAMO.decoder().push, tokens.split())) == expected


def test_letters_are_listed_in_forms_that_stand_alone() -> None:
    assert [JAMO.readable(token) for token in JAMO.tokens("갑ㅂ a")] == ["ㄱ", "ㅏ", "-ㅂ", "ㅂ", " ", "a"]
    assert len(READABLE) == len(set(READABLE.values())) == 19 + 21 + 27
    for letter, readable in READABLE.items():  # HANGUL CHOSEONG KIYEOK, HANGUL LETTER KIYEOK
        name, kind = unicodedata.name(letter).split()[2:], unicodedata.name(readable[-1]).split()[2:]
        assert name == kind
        assert readable.startswith("-") == ("JONGSEONG" in unicodedata.name(letter))


def test_lower_case_is_that_of_characters() -> None:
    assert make_tokenizer("jamo", lower=True).tokens("ΑΣ J\u030c 가") == ["α", "σ", " ", "ǰ", " ", "ᄀ", "ᅡ"]
