"""A model with its text: what becomes of words on their way to ids."""

import pytest

from elman.models.text_model import TextModel
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from tiny import small_lm, text_model


@pytest.mark.parametrize(("level", "unit"), [("word", "word"), ("char", "character"), ("byte", "byte")])
def test_says_what_a_perplexity_is_per(level: str, unit: str) -> None:
    assert text_model(level).unit == unit


def test_text_becomes_tokens_and_ids() -> None:
    given = text_model()
    tokens, ids = given.encode("tom was\nsinging")
    assert tokens == ["tom", "was", "<eos>", "singing"]
    assert given.vocabulary.decode(ids) == tokens
    assert given.encode("tom", end=True)[0] == ["tom", "<eos>"]


def test_text_is_composed_as_the_training_text_was() -> None:
    given = text_model("char", "é한\n")
    assert given.encode("e\u0301")[0] == ["é"]
    assert given.encode("\u1112\u1161\u11ab\r\n")[0] == ["한", "\n"]


def test_a_line_ends_where_the_vocabulary_has_an_end_of_line() -> None:
    assert text_model().encode_line("tom was")[0] == ["tom", "was", "<eos>"]
    assert text_model("char", "abc\n").encode_line("ab")[0] == ["a", "b", "\n"]
    assert text_model("char", "abc").encode_line("ab")[0] == ["a", "b"]
    assert text_model().encode_line("")[0] == ["<eos>"]


def test_a_closed_vocabulary_knows_what_it_lacks() -> None:
    given = text_model()
    tokens, ids = given.encode("tom yodelling was")
    assert given.is_unknown(tokens).tolist() == [False, True, False]
    assert (ids < 0).tolist() == [False, True, False]


def test_in_an_open_vocabulary_the_unknown_token_itself_is_unknown() -> None:
    vocabulary = Vocabulary(["a", "<unk>", "<eos>"], eos="<eos>")
    given = TextModel(small_lm(3), make_tokenizer("word"), vocabulary)
    tokens, ids = given.encode("a yodelling <unk>")
    assert given.is_unknown(tokens).tolist() == [False, True, True]
    assert ids.tolist() == [0, 1, 1]


def test_a_text_begins_after_the_end_of_a_line_or_with_the_empty_past() -> None:
    given = text_model()
    assert given.start_id == given.vocabulary.eos_id is not None
    assert text_model("char", "abc").start_id is None  # there is no end of line
    given.start = "empty"
    assert given.start_id is None
