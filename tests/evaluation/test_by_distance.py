"""Answers by their distance in rooms: the truth knows them all, a Markov model guesses, whatever the distance."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman import NgramModel, RoomsTruth, TextModel, World, evaluate, make_tokenizer
from elman.errors import TextError
from elman.evaluation import by_distance as module
from elman.evaluation.by_distance import Distances, answer_nlls, by_distance
from elman.text.vocabulary import Vocabulary

WORLD = World()
TEXT = WORLD.text(3000, np.random.default_rng(1))
VOCABULARY = Vocabulary(WORLD.vocabulary, eos="<eos>")
WORDS = make_tokenizer("word")


def truth() -> TextModel:
    return TextModel(RoomsTruth(WORLD, VOCABULARY.tokens), WORDS, VOCABULARY)


def markov(order: int = 3) -> TextModel:
    ids = VOCABULARY.encode(WORDS.tokens(TEXT))
    return TextModel(NgramModel.train(ids, len(VOCABULARY), order), WORDS, VOCABULARY)


def test_every_line_has_one_answer_at_the_distance_of_its_first_name() -> None:
    distances, nlls = answer_nlls(truth(), WORLD, TEXT)
    lines = [line.split() for line in TEXT.splitlines()]
    assert distances.tolist() == [len(line) - 2 for line in lines]  # Tom was ... hi to Tom .
    assert_allclose(nlls, 0, atol=1e-12)


def test_the_answers_have_the_probabilities_of_a_whole_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    text_model = markov()
    tokens, ids = text_model.encode(TEXT)
    start = text_model.model.feed(np.array([[VOCABULARY.eos_id]]), text_model.model.start())
    expected = -text_model.model.target_log_probs(ids[None], start)[0][0]
    asked = WORLD.distance(tokens) > 0
    for block in (512, 7):
        monkeypatch.setattr(module, "BLOCK", block)
        assert_allclose(answer_nlls(text_model, WORLD, TEXT)[1], expected[asked])
    assert_allclose(
        expected.mean(), np.log(evaluate(text_model.model, ids, eos=VOCABULARY.eos_id).perplexity)
    )


def test_a_short_window_guesses_at_every_distance() -> None:
    for span in by_distance(*answer_nlls(markov(), WORLD, TEXT), width=8, least_answers=10):
        assert 4 < span.perplexity < 12


def test_spans_begin_at_1_and_are_left_out_where_answers_are_few() -> None:
    distances, nlls = np.array([9, 1, 4, 5, 8, 5]), np.array([9.0, 1, 2, 3, 4, 5])
    assert by_distance(distances, nlls, 4, 2) == [Distances(1, 4, 2, 1.5), Distances(5, 8, 3, 4.0)]
    assert by_distance(distances, nlls, 4, 1)[-1] == Distances(9, 12, 1, 9.0)
    assert_allclose(Distances(1, 4, 2, 1.5).perplexity, np.exp(1.5))


def test_a_text_of_another_world_is_refused() -> None:
    with pytest.raises(TextError, match="cannot say"):
        answer_nlls(truth(), WORLD, "Nobody came .\n")
