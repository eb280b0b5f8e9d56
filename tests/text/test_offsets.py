"""Offsets of tokens in the text as given."""

import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elman.text.offsets import token_offsets
from elman.text.subword_training import train_subwords
from elman.text.tokenizers import make_tokenizer

HARD = "aÅée\u0301ǰJ\u030cİΣσς K\u1112\u1161\u11ab한글\u0344\u0f73\ufeff\r\n\t \x1c\u2003\x85<eos>𝄞\ud800"
TEXTS = st.text(st.one_of(st.sampled_from(HARD), st.characters()), max_size=24)


def pieces(level: str, text: str, lower: bool = False) -> list[str]:
    offsets = token_offsets(make_tokenizer(level, lower), text).tolist()
    return [text[start:end] for start, end in offsets]


def test_offsets_of_plain_text_slice_out_the_tokens() -> None:
    text = "tom  was\there\nmary"
    assert pieces("word", text) == ["tom", "was", "here", "\n", "mary"]
    assert pieces("char", text) == pieces("byte", text) == list(text)
    assert pieces("word", "") == pieces("char", "") == []


def test_offsets_of_composed_text_refer_to_the_given_text() -> None:
    decomposed = unicodedata.normalize("NFD", "한 글é")
    assert pieces("char", decomposed) == [unicodedata.normalize("NFD", c) for c in "한 글é"]
    assert pieces("word", decomposed) == [unicodedata.normalize("NFD", w) for w in ("한", "글é")]


def test_offsets_count_a_byte_order_mark_and_long_newlines() -> None:
    assert token_offsets(make_tokenizer("char"), "\ufeffa\r\nb\rc").tolist() == [
        [1, 2], [2, 4], [4, 5], [5, 6], [6, 7],
    ]  # fmt: skip


def test_lower_case_may_be_longer_or_shorter_than_upper_case() -> None:
    assert pieces("word", "AİB J\u030c", lower=True) == ["AİB", "J\u030c"]
    assert pieces("char", "İJ\u030cx", lower=True) == ["İ", "İ", "J\u030c", "x"]


def test_bytes_of_a_character_have_its_offsets() -> None:
    assert pieces("byte", "a한𝄞") == ["a", *["한"] * 3, *["𝄞"] * 4]
    assert pieces("byte", "e\u0301") == ["e", *["\u0301"] * 2]


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
@pytest.mark.parametrize("lower", [False, True])
@settings(deadline=None)
@given(text=TEXTS)
@example(text="ΑΣ ΑΣ\u0301. İ\u0307 J\u030c")
def test_every_token_comes_from_its_span(level: str, lower: bool, text: str) -> None:
    tokenizer: Any = make_tokenizer(level, lower)
    tokens = tokenizer.tokens(tokenizer.prepare(text))
    offsets = token_offsets(tokenizer, text).tolist()
    assert len(offsets) == len(tokens)
    before = [0, 0]
    for token, (start, end) in zip(tokens, offsets, strict=True):
        assert 0 <= start < end <= len(text)
        assert start >= before[1] or [start, end] == before  # in order: apart, or of one piece
        before = [start, end]
        made = tokenizer.tokens(tokenizer.prepare("a" + text[start:end]))  # no byte order mark at the front
        made += tokenizer.tokens(tokenizer.prepare(text[start:end]))
        assert token.replace("ς", "σ") in [t.replace("ς", "σ") for t in made]


SUBWORD_TEXTS = [
    "",
    "\n",
    "tom was in the room\nmary said 한글 hi\n",
    "e\u0301 𝄞  x",
    "\ufeffTom İ\r\n\r\n한",
    "<eos> a",
]


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("text", SUBWORD_TEXTS)
@pytest.mark.parametrize("leads", [False, True])
def test_subwords_together_are_the_text(text: str, lower: bool, leads: bool) -> None:
    json = train_subwords(["tom was in the room\nmary said hi in the room\n"] * 3, "bpe", 280)
    if leads:
        json = json.replace('"add_prefix_space":false', '"add_prefix_space":true')
    tokenizer: Any = make_tokenizer("subword", lower, json)
    assert tokenizer.leads == leads
    tokens = tokenizer.tokens(tokenizer.prepare(text))
    offsets = token_offsets(tokenizer, text).tolist()
    assert len(offsets) == len(tokens)
    covered = {place for start, end in offsets for place in range(start, end)}
    assert covered == set(range(text.startswith("\ufeff"), len(text)))
    for token, (start, end) in zip(tokens, offsets, strict=True):
        if token == "<eos>":
            assert text[start:end] in ("\n", "\r\n")
        elif text.isascii():
            assert text[start:end] == tokenizer.readable(token).removeprefix(" " * (leads and start == 0))
    assert offsets == sorted(offsets)
