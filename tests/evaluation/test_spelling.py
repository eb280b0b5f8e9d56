"""Sentences in a vocabulary's spelling: places in the sentence as given, and warnings about unknown words."""

import logging
import math
from typing import Any

import pytest

from elman.api.pairs import pairs
from elman.errors import ConfigError
from elman.evaluation.line_scores import score_line
from elman.evaluation.spelling import Spelling
from elman.evaluation.unknown_tokens import warn_of_unknown
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel
from support.ngrams import sentence_model
from support.tiny import text_model

VOCABULARY = Vocabulary(["the", "room", "has", "n't", ".", '"', "café", "ss", "<unk>", "<eos>"], eos="<eos>")


def word_model() -> TextModel:
    """A model with ``<unk>`` of words in lower case, with the full stop as a word of its own."""
    model: TextModel = sentence_model("tom was reading .\ntom was reading .\nann yelled .\n", min_count=2)
    return model


@pytest.mark.parametrize(
    ("sentence", "parts"),
    [
        ("The room.", [("the", "The"), ("room", "room"), (".", ".")]),
        ('  "The room"?!', [('"', '"'), ("the", "The"), ("room", "room"), ('"', '"')]),
        ("Hasn't — .", [("has", "Has"), ("n't", "n't"), ("—", "—"), (".", ".")]),
        ("(CAFE\u0301).\tRoom", [("café", "CAFE\u0301"), (".", "."), ("room", "Room")]),
        ("", []),
        (" \u3000", []),
    ],
)
def test_every_part_has_its_place_in_the_sentence(sentence: str, parts: list[tuple[str, str]]) -> None:
    spelling = Spelling("lower", "split")
    found = spelling.traced(sentence, VOCABULARY)
    words = [(word, found.text.index(word)) for word in dict.fromkeys(found.text.split())]
    places = [(word, found.place(begin, begin + len(word), len(sentence))) for word, begin in words]
    assert [(word, sentence[start:end]) for word, (start, end) in places] == list(dict(parts).items())
    if "—" not in sentence:
        assert found.text.split() == spelling.apply(sentence, VOCABULARY).split()


def test_surprisal_reads_a_sentence_as_pairs_does() -> None:
    model = word_model()
    given, spelled = "Tom was reading.", "tom was reading ."
    table = model.surprisal(given)
    assert [(row.word, given[row.start : row.end]) for row in table] == [
        ("Tom", "Tom"), ("was", "was"), ("reading.", "reading."), ("<eos>", ""),
    ]  # fmt: skip
    assert not any(row.unknown for row in table)
    bits = sum(row.surprisal_bits for row in table)
    (_, score), *_ = pairs(model, [(given, "was Tom reading.")]).pairs
    assert -bits * math.log(2) == pytest.approx(score.good.ln_prob)
    assert bits == pytest.approx(sum(row.surprisal_bits for row in model.surprisal(spelled)))
    tokens = list(model.surprisal(given, per="token"))
    assert [token.token for token in tokens] == ["tom", "was", "reading", ".", "<eos>"]
    assert [given[token.start : token.end] for token in tokens] == ["Tom", "was", "reading", ".", ""]
    assert table[2].surprisal_bits == pytest.approx(tokens[2].surprisal_bits + tokens[3].surprisal_bits)


def test_surprisal_says_how_it_spelled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = word_model()
    model.surprisal("Tom was reading.")
    assert caplog.messages == ["spelling: lower case; punctuation separated from words"]
    caplog.clear()
    model.surprisal("Tom was reading.", case="asis", punctuation="asis")
    (message,) = caplog.messages
    assert message.startswith("2 of 3 words (66.7%) are not in the vocabulary and were scored as <unk>")
    caplog.clear()
    text_model("char", "tom was reading .\n").surprisal("tom was reading .")
    assert caplog.messages == []


def test_the_spelling_can_be_chosen_for_any_model() -> None:
    model = text_model("char", "tom was reading .\n")
    lower = model.surprisal("TOM", case="lower")
    assert [row.word for row in lower] == ["TOM", "<eos>"]
    assert lower[0].surprisal_bits == pytest.approx(model.surprisal("tom")[0].surprisal_bits)
    with pytest.raises(ConfigError, match="can only be split off words"):
        model.surprisal("TOM", punctuation="split")
    with pytest.raises(ConfigError, match="`case` must be one of auto, lower, upper, asis; got 'title'"):
        model.surprisal("TOM", case="title")  # type: ignore[arg-type]


CALLS: dict[str, Any] = {
    "surprisal": lambda model, text: model.surprisal(text),
    "score": lambda model, text: model.score_lines([text]),
    "score per token": lambda model, text: model.score_lines([text], per_token=True),
    "evaluate": lambda model, text: model.evaluate([text]),
    "pairs": lambda model, text: pairs(model, [(text, text)]),
}


@pytest.mark.parametrize("name", CALLS)
def test_many_unknown_words_are_warned_of(name: str, caplog: pytest.LogCaptureFixture) -> None:
    model: TextModel = word_model()
    CALLS[name](model, "tom yodelled .")
    assert any("not in the vocabulary and were scored as <unk>" in message for message in caplog.messages)
    caplog.clear()
    CALLS[name](model, "tom was reading .")
    if name not in ("evaluate", "pairs"):  # which count a `<unk>` of lines in memory like any unknown word
        CALLS[name](model, "tom <unk> .")
    assert caplog.messages == []


def test_few_unknown_words_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    model = word_model()
    warn_of_unknown(model, 5, 100)
    assert caplog.messages == []
    warn_of_unknown(model, 6, 100)
    assert len(caplog.messages) == 1
    assert math.isfinite(score_line(model, "tom yodelled .").ln_prob)
