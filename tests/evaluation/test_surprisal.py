"""Surprisal, token by token."""

import math
from dataclasses import replace

import numpy as np
import pytest

from elman.evaluation.perplexity import begin
from elman.evaluation.scoring import score_line
from elman.evaluation.surprisal import entropy_bits, token_scores
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
    without = list(token_scores(given, "tom was"))
    assert with_gap[0] == without[0]
    for found, expected in zip(with_gap[2:], without[1:], strict=True):
        assert replace(found, start=0, end=0) == replace(expected, start=0, end=0)


def test_an_unknown_token_of_an_open_vocabulary_is_marked_and_scored() -> None:
    vocabulary = Vocabulary(["a", "<unk>", "<eos>"], eos="<eos>")
    model = NgramModel.train(np.array([0, 1, 2] * 3), 3, 2)
    found = list(token_scores(TextModel(model, make_tokenizer("word"), vocabulary), "a yodelling <unk>"))
    assert [score.unknown for score in found] == [False, True, True, False]
    assert all(math.isfinite(score.surprisal_bits) for score in found)


def test_an_empty_line_is_its_end() -> None:
    assert [score.token for score in token_scores(text_model(), "")] == ["<eos>"]
    assert list(token_scores(text_model("char", "abc"), "")) == []


@pytest.mark.parametrize(
    ("level", "text", "expected"),
    [
        ("word", "tom  was\there", ["tom", "was", "here", ""]),
        ("word", "tom\r\nwas", ["tom", "\r\n", "was", ""]),
        ("word", "tom\r", ["tom", "\r"]),
        ("char", "tom", ["t", "o", "m", ""]),
        ("byte", "한 a", ["한", "한", "한", " ", "a", ""]),
    ],
)
def test_each_token_says_where_it_stands(level: str, text: str, expected: list[str]) -> None:
    found = list(token_scores(text_model(level), text))
    assert [text[score.start : score.end] for score in found] == expected


def test_a_syllable_that_is_written_in_parts_stands_where_they_stand() -> None:
    decomposed = "\u1112\u1161\u11ab \u1100\u1173\u11af"
    found = list(token_scores(text_model("char", "한 글\n"), decomposed))
    assert [(score.token, score.start, score.end) for score in found] == [
        ("한", 0, 3), (" ", 3, 4), ("글", 4, 7), ("\n", 7, 7),
    ]  # fmt: skip
    assert not any(score.unknown for score in found)


def test_the_entropy_is_that_of_the_distribution_before_the_token() -> None:
    given = text_model()
    for k, score in enumerate(token_scores(given, LINE)):
        past = " ".join(LINE.split()[:k])
        probs = np.array([probability for _, probability in given.next_distribution(past, top=None)])
        assert probs.sum() == pytest.approx(1)
        assert score.entropy_bits == pytest.approx(-(probs * np.log2(probs)).sum())
        assert score.probability == pytest.approx(2**-score.surprisal_bits)


def test_a_uniform_distribution_has_the_entropy_of_its_size() -> None:
    assert entropy_bits(np.log(np.full(8, 1 / 8))) == pytest.approx(3)
    with np.errstate(divide="ignore"):
        assert entropy_bits(np.log(np.array([1.0, 0.0]))) == 0


def test_without_its_beginning_or_its_end_a_line_is_a_part_of_a_text() -> None:
    given = text_model()
    assert [score.token for score in token_scores(given, "tom was", eos=False)] == ["tom", "was"]
    first = next(token_scores(given, "tom", bos=False))
    log_prob = given.model.next_log_probs(given.model.start())[0][given.vocabulary.id("tom")]
    assert first.surprisal_bits == pytest.approx(-log_prob / math.log(2))
