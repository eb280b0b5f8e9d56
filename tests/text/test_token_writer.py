"""Ids to text, one at a time: the names of the tokens and the text that each completes."""

import pytest

from elman.text.token_writer import TokenWriter
from support.tiny import text_model


def write(level: str, text: str) -> tuple[list[str], str]:
    """The names of a text's tokens, and the text that a writer makes of their ids."""
    model = text_model(level)
    writer = TokenWriter(model.tokenizer, model.vocabulary)
    pushed = [writer.push(id_) for id_ in model.encode(text)[1].tolist()]
    return [name for name, _ in pushed], "".join(part for _, part in pushed) + writer.finish()


@pytest.mark.parametrize(
    ("level", "text"),
    [("word", "tom was\nin his room"), ("char", "tom was\nin"), ("jamo", "tom 톰에\n"), ("byte", "tom 톰")],
)
def test_the_parts_are_the_text(level: str, text: str) -> None:
    assert write(level, text)[1] == text


def test_the_names_of_words_have_the_space_before_them() -> None:
    assert write("word", "tom was\nin his")[0] == ["tom", " was", "\n", "in", " his"]


def test_a_byte_that_is_not_a_character_has_a_name() -> None:
    assert write("byte", "a톰")[0] == ["a", "bytes:\\xed", "bytes:\\x86", "bytes:\\xb0"]


def test_the_name_of_a_next_token_does_not_change_the_text() -> None:
    model = text_model("word")
    writer = TokenWriter(model.tokenizer, model.vocabulary)
    tom, was = model.encode("tom was")[1].tolist()
    writer.push(tom)
    assert writer.name(was) == " was"
    assert writer.push(was) == (" was", " was")
