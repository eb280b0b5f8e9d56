"""Surprisal, token by token."""

import math

import numpy as np
import pytest

from elman.evaluation.perplexity import begin
from elman.evaluation.scoring import score_line
from elman.evaluation.surprisal import token_scores
from elman.models.ngram import NgramModel
from elman.models.text_model import TextModel
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from tiny import text_model

LINE = "tom was reading ."


@pytest.mark.parametrize("level", ["word", "char", "byte"])
def test_surprisals_sum_to_the_score_of_the_line(level: str) -> None:
    given = text_model(level)
    found = list(token_scores(given, LINE))
    assert sum(score.surprisal_bits for score in found) * math.log(2) == pytest.approx(
        score_line(given, LINE).nll_nats, rel=1e-9
    )
    assert [score.token for score in found] == given.encode_line(LINE)[0]
    assert not any(score.unknown for score in found)


def test_each_token_is_scored_after_those_before_it() -> None:
    given = text_model()
    state = begin(given.model, given.vocabulary.eos_id)
    for score in token_scores(given, LINE):
        id_ = given.vocabulary.id(score.token)
        log_probs = given.model.next_log_probs(state)[0]
        assert score.surprisal_bits == pytest.approx(-log_probs[id_] / math.log(2))
        assert score.rank == 1 + np.sum(log_probs > log_probs[id_])
        state = given.model.feed(np.array([[id_]]), state)


def test_the_most_probable_token_has_rank_1() -> None:
    vocabulary = Vocabulary(["a", "b", "<eos>"], eos="<eos>")
    model = NgramModel.train(np.array([0, 1, 2] * 9), 3, 2)
    found = list(token_scores(TextModel(model, make_tokenizer("word"), vocabulary), "a b"))
    assert [score.rank for score in found] == [1, 1, 1]
    assert all(score.surprisal_bits < 0.5 for score in found)
    odd = list(token_scores(TextModel(model, make_tokenizer("word"), vocabulary), "b b"))
    assert odd[0].rank > 1


def test_equally_probable_tokens_share_a_rank() -> None:
    vocabulary = Vocabulary(["a", "b", "c", "<eos>"], eos="<eos>")
    model = NgramModel.train(np.array([3]), 4, 1)
    found = list(token_scores(TextModel(model, make_tokenizer("word"), vocabulary), "a b c"))
    assert [score.rank for score in found] == [2, 2, 2, 1]


def test_a_token_without_an_id_is_passed_over() -> None:
    given = text_model()
    with_gap = list(token_scores(given, "tom yodelling was"))
    assert with_gap[1].surprisal_bits == math.inf
    assert (with_gap[1].token, with_gap[1].rank, with_gap[1].unknown) == ("yodelling", 0, True)
    assert with_gap[0:1] + with_gap[2:] == list(token_scores(given, "tom was"))


def test_an_unknown_token_of_an_open_vocabulary_is_marked_and_scored() -> None:
    vocabulary = Vocabulary(["a", "<unk>", "<eos>"], eos="<eos>")
    model = NgramModel.train(np.array([0, 1, 2] * 3), 3, 2)
    found = list(token_scores(TextModel(model, make_tokenizer("word"), vocabulary), "a yodelling <unk>"))
    assert [score.unknown for score in found] == [False, True, True, False]
    assert all(math.isfinite(score.surprisal_bits) for score in found)


def test_an_empty_line_is_its_end() -> None:
    assert [score.token for score in token_scores(text_model(), "")] == ["<eos>"]
    assert list(token_scores(text_model("char", "abc"), "")) == []
