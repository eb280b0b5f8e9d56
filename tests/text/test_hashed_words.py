"""The words of a text by compiled code and as plain Python: the ids of the tokenizer and the vocabulary."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from elman import numba_jit
from elman.text import hashed_words
from elman.text.tokenizers import EOS, WordTokenizer
from elman.text.vocabulary import Vocabulary
from support.loops import CAN_COMPILE, plain

FORMS: dict[str, Any] = {"plain": plain(hashed_words)}
if CAN_COMPILE:
    FORMS["compiled"] = hashed_words
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
WORDS = ["a", "ab", "abc", "b", "사과", "사", "é", "ß", EOS, "<unk>", "a\xa0b", "a\x1cb", "긴낱말" * 20]


@pytest.fixture(autouse=True)
def _integers_that_wrap() -> Iterator[None]:
    """Plain Python warns when the hash exceeds 64 bits, compiled code does not."""
    with np.errstate(over="ignore"):
        yield


SPACES = [" ", " ", "\t", "\n", "\r", "\x1c", "\x85", "\u3000"]
texts = st.lists(st.sampled_from([*WORDS, *SPACES, "A", "AB", "사과나무", "x", "\ud800"])).map("".join)


@settings(deadline=None)
@given(
    text=texts, closed=st.booleans(), whitespace=st.sampled_from(["unicode", "ascii"]), lower=st.booleans()
)
def test_ids_are_those_of_the_tokens(text: str, closed: bool, whitespace: Any, lower: bool) -> None:
    tokenizer = WordTokenizer(lower, whitespace)
    vocabulary = Vocabulary([word for word in WORDS if not closed or word != "<unk>"], eos=EOS)
    with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore"):
        patch.setattr(numba_jit, "is_loaded", lambda: True)
        found = tokenizer.ids(text, vocabulary)
    assert found.dtype == np.int32
    assert_array_equal(found, vocabulary.encode(tokenizer.tokens(text)))


@every_form
@pytest.mark.parametrize("separators", [False, True])
def test_every_word_and_newline_is_found(form: Any, separators: bool) -> None:
    found = form.HashedWords(WORDS).find(" ".join(WORDS) + "\n\n x  aba", 100, -1, separators)
    if separators:
        assert found.tolist() == [*range(11), 0, 3, 12, 100, 100, -1, -1]
    else:
        assert found.tolist() == [*range(13), 100, 100, -1, -1]


@every_form
def test_no_text_has_no_words(form: Any) -> None:
    for text in ("", " ", "\t \r"):
        assert form.HashedWords(["a"]).find(text, 1, 0).tolist() == []


def test_words_of_one_hash_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    form = plain(hashed_words)
    monkeypatch.setattr(form, "_PRIME", np.uint64(0))  # every word has the hash 0
    assert form.HashedWords(WORDS[:9]).find("ab b a abcd 사 c", 0, -1).tolist() == [1, 3, 0, -1, 5, -1]
