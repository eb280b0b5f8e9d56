"""Examples are in the model's own words, and show what decides a prediction."""

import pytest

from elman.inspection.examples import GREETINGS, comparable, opening, pairs, swapped_pair
from support.every_kind import word_model
from support.looked import network
from support.tiny import text_model


@pytest.mark.parametrize(("text", "name", "other"), GREETINGS)
def test_a_model_that_knows_the_words_opens_on_the_greeted_name(text: str, name: str, other: str) -> None:
    model = network("rnn", text=f"{text} \n")
    found = opening(model)
    assert found is not None
    tokens, _ = model.encode(text)
    assert (found.text, tokens[found.position]) == (text, name)
    assert tokens.index(name) == 0
    assert name not in tokens[1 : found.position]
    (first, *_) = pairs(model)
    differing = [(a, b) for a, b in zip(*map(str.split, first.texts), strict=True) if a != b]
    assert (first.kind, differing) == ("name", [(name, other)])
    assert all(each in model for each in first.texts)


def test_other_models_have_examples_of_their_own() -> None:
    for model in (word_model("n-gram", closed=True), network("gru"), text_model("char")):
        assert opening(model) is None
        found = pairs(model)
        assert found
        assert all(text in model for pair in found for text in pair.texts)
    known = network("rnn", text="you say goodbye and you say good die\n")
    assert "misheard" in [pair.kind for pair in pairs(known)]


def test_two_neighbours_of_the_first_sentence_are_swapped() -> None:
    assert swapped_pair("a b c d . e f\ng").texts == ("a b c d .", "a c b d .")
    assert swapped_pair("a").texts == ("a", "a")


def test_models_are_comparable_if_they_read_the_same_texts() -> None:
    models = {
        "rnn": network("rnn"),
        "gru": network("gru"),
        "ko": network("gru", text="톰 은 방 에 . \n"),
        "char": text_model("char"),
    }
    assert comparable(models) == {"rnn": ["gru"], "gru": ["rnn"], "ko": [], "char": []}
