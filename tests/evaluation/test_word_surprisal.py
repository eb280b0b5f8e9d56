"""Surprisal of words, whatever the tokens: the sums, the places, and what is before."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from elman.evaluation.scoring import score_line
from elman.evaluation.surprisal import TokenReader, token_scores
from elman.evaluation.word_surprisal import WordScore, word_scores
from elman.models.ngram import NgramModel
from elman.models.text_model import TextModel
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from every_kind import KINDS, word_model
from tiny import small_lm, text_model

KOREAN = "톰 은  방 에 있었다 ."


def subword_model() -> TextModel:
    pytest.importorskip("tokenizers")
    from elman.text.subword_training import train_subwords

    json = train_subwords(["tom was in the room\nmary said hi in the room\n"] * 3, "bpe", 280)
    tokenizer: Any = make_tokenizer("subword", json=json)
    vocabulary = tokenizer.vocabulary
    return TextModel(small_lm(len(vocabulary)), tokenizer, vocabulary)


def counted(level: str) -> TextModel:
    """An n-gram model of the characters or bytes of a Korean text."""
    model = text_model(level, f"{KOREAN}\n")
    ids = model.encode(f"{KOREAN}\n" * 3)[1]
    return replace(model, model=NgramModel.train(ids, len(model.vocabulary), 3, eos=model.vocabulary.eos_id))


MODELS = {
    "words": lambda: word_model("recurrent"),
    "characters": lambda: text_model("char", f" \t{KOREAN}\ntomwasreading."),
    "bytes": lambda: text_model("byte"),
    "subwords": subword_model,
    "counted characters": lambda: counted("char"),
    "counted bytes": lambda: counted("byte"),
}


def bits(scores: Any) -> float:
    return float(sum(score.surprisal_bits for score in scores))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", ["tom was reading .", "", "ann yodelled"])
def test_the_words_of_a_line_sum_to_its_score(kind: str, line: str) -> None:
    given = word_model(kind)
    found = list(word_scores(given, line))
    assert bits(found) * math.log(2) == pytest.approx(score_line(given, line).nll_nats, rel=1e-9)
    assert [word.word for word in found] == [*line.split(), "<eos>"]
    assert [word.position for word in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize("name", MODELS)
def test_whatever_the_tokens_words_are_what_stands_between_blanks(name: str) -> None:
    given = MODELS[name]()
    pieces = st.sampled_from(["톰", "방", "t", "tom", "\u0301", " ", "  ", "\t", "\u3000"])

    @settings(max_examples=15, deadline=None)
    @hypothesis_given(st.lists(pieces, max_size=12).map("".join))
    def check(line: str) -> None:
        found = list(word_scores(given, line))
        nll = score_line(given, line).nll_nats
        assert bits(found) * math.log(2) == pytest.approx(nll, rel=1e-9)
        assert [word.word for word in found] == [*line.split(), "<eos>"]
        assert [line[word.start : word.end] for word in found] == [*line.split(), ""]
        assert found[-1].start == len(line)

    check()


def test_a_blank_belongs_to_the_word_that_it_ends() -> None:
    given = MODELS["characters"]()
    tokens = list(token_scores(given, " 톰 은  방"))
    found = list(word_scores(given, " 톰 은  방"))
    parts = [
        tokens[:3],
        tokens[3:6],
        tokens[6:7],
        tokens[7:],
    ]  # the line's first blank goes with its first word
    assert [word.surprisal_bits for word in found] == pytest.approx([bits(part) for part in parts])
    assert [word.entropy_bits for word in found] == [part[0].entropy_bits for part in parts]
    assert [word.rank for word in found] == [part[0].rank for part in parts]


def test_a_subword_that_begins_with_a_blank_belongs_to_the_word_it_begins() -> None:
    given = subword_model()
    tokens = list(token_scores(given, "the room"))
    second = next(k for k, token in enumerate(tokens) if token.end > 3)
    assert "the room"[tokens[second].start] == " "
    found = list(word_scores(given, "the room"))
    assert [word.surprisal_bits for word in found] == pytest.approx(
        [bits(tokens[:second]), bits(tokens[second:-1]), bits(tokens[-1:])]
    )


def test_a_document_goes_on_where_a_sentence_begins_afresh() -> None:
    given = word_model("recurrent")
    reader = TokenReader(given)
    lines = ["tom was reading .", "mary was asleep ."]
    carried = [list(word_scores(given, line, reader)) for line in lines]
    afresh = [list(word_scores(given, line)) for line in lines]
    assert carried[0] == afresh[0]
    assert bits(carried[1]) != pytest.approx(bits(afresh[1]), rel=1e-6)
    after = given.model.feed(given.encode("\n".join(lines), end=True)[1][None], given.begin_sentence())
    assert_allclose(given.model.next_log_probs(reader.state), given.model.next_log_probs(after))


def test_an_n_gram_model_of_sentences_has_no_more_than_the_sentence() -> None:
    given = word_model("n-gram")
    reader = TokenReader(given)
    lines = ["tom was reading .", "mary was asleep ."]
    assert [list(word_scores(given, line, reader)) for line in lines] == [
        list(word_scores(given, line)) for line in lines
    ]


def test_the_entropy_is_that_of_what_may_come() -> None:
    vocabulary = Vocabulary(["a", "b", "<eos>"], eos="<eos>")
    uniform = NgramModel.train(np.array([0, 1, 2]), 3, 1)
    given = TextModel(uniform, make_tokenizer("word"), vocabulary)
    for word in word_scores(given, "b a"):
        assert word.entropy_bits == pytest.approx(math.log2(3))
        assert word.probability == pytest.approx(1 / 3)
        assert word.rank == 1


def test_a_word_with_an_unknown_character_is_impossible_in_a_closed_vocabulary() -> None:
    found = list(word_scores(MODELS["characters"](), "톰 xyz 은"))
    assert [math.isinf(word.surprisal_bits) for word in found] == [False, True, False, False]
    assert [word.unknown for word in found] == [False, True, False, False]
    assert (found[1].probability, found[1].rank) == (0.0, 0)


def test_an_open_vocabulary_scores_unknown_words() -> None:
    found: list[WordScore] = list(word_scores(word_model("n-gram"), "tom yodelled"))
    assert [word.unknown for word in found] == [False, True, False]
    assert all(math.isfinite(word.surprisal_bits) for word in found)


def test_without_an_end_of_line_there_is_no_row_for_it() -> None:
    given = text_model("char", "ab cab")
    found = list(word_scores(given, "ab cab"))
    assert [word.word for word in found] == ["ab", "cab"]
    assert bits(found) * math.log(2) == pytest.approx(score_line(given, "ab cab").nll_nats)
    assert list(word_scores(given, "")) == []
