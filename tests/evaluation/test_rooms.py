"""The rooms task: the true distribution is always right, a 2-gram model guesses."""

from itertools import islice

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman import RoomsTruth, TextModel, make_tokenizer
from elman.errors import TextError
from elman.evaluation import rooms as module
from elman.evaluation.perplexity import evaluate
from elman.evaluation.rooms import Distances, answer_nlls, by_distance, rooms_optimum, top1_accuracy
from elman.models.ngram.model import NgramModel
from elman.text.rooms import World
from elman.text.vocabulary import Vocabulary


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_truth_is_always_right_and_a_short_window_is_not(language: str) -> None:
    world = World(language)
    lines = world.text(3000, np.random.default_rng(1)).splitlines()
    vocabulary = Vocabulary(world.vocabulary, eos="<eos>")
    words = make_tokenizer("word")
    truth = TextModel(RoomsTruth(world, vocabulary.tokens), words, vocabulary)
    assert top1_accuracy(truth, world, lines) == 1
    ids = vocabulary.encode(words.tokens("\n".join(lines), end=True))
    markov = TextModel(NgramModel.train(ids, len(vocabulary), order=2), words, vocabulary)
    assert top1_accuracy(markov, world, lines) < 0.5


def test_a_line_of_another_world_is_refused() -> None:
    vocabulary = Vocabulary(World().vocabulary, eos="<eos>")
    truth = TextModel(RoomsTruth(World(), vocabulary.tokens), make_tokenizer("word"), vocabulary)
    with pytest.raises(TextError, match="cannot generate"):
        top1_accuracy(truth, World(), ["Nobody came ."])


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
    with pytest.raises(TextError, match="cannot generate"):
        answer_nlls(truth(), WORLD, "Nobody came .\n")


WORLDS = [("rooms", "en"), ("rooms-ko", "ko")]


def text_of(language: str, n: int, seed: int) -> tuple[Vocabulary, np.ndarray, np.ndarray]:
    world = World(language)
    vocabulary = Vocabulary(list(world.vocabulary), eos="<eos>")
    tokens, probs = zip(*islice(world.tokens(np.random.default_rng(seed)), n), strict=True)
    return vocabulary, vocabulary.encode(tokens), np.array(probs)


@pytest.mark.parametrize(("corpus", "language"), WORLDS)
def test_the_optimum_is_the_entropy_of_the_text(corpus: str, language: str) -> None:
    vocabulary, ids, probs = text_of(language, 3000, seed=0)
    found = rooms_optimum(corpus, ids, vocabulary)
    assert found is not None
    assert found.perplexity == pytest.approx(np.exp(-np.log(probs).mean()), rel=1e-9)


@pytest.mark.parametrize(("corpus", "language"), WORLDS)
def test_no_trained_model_is_better(corpus: str, language: str) -> None:
    vocabulary, train, _ = text_of(language, 6000, seed=1)
    _, held_out, _ = text_of(language, 3000, seed=2)
    found = rooms_optimum(corpus, held_out, vocabulary)
    assert found is not None
    for order in (1, 2, 3, 5):
        model = NgramModel.train(train, len(vocabulary), order)
        assert evaluate(model, held_out, eos=vocabulary.eos_id).perplexity > found.perplexity


def test_other_corpora_have_none() -> None:
    vocabulary, ids, _ = text_of("en", 50, seed=0)
    assert rooms_optimum("ptb", ids, vocabulary) is None


def test_a_text_that_the_world_cannot_generate_has_none() -> None:
    vocabulary, ids, _ = text_of("en", 50, seed=0)
    assert rooms_optimum("rooms", ids[::-1], vocabulary) is None
    assert rooms_optimum("rooms", np.append(ids, -1), vocabulary) is None


def test_another_vocabulary_has_none() -> None:
    vocabulary, ids, _ = text_of("en", 50, seed=0)
    assert rooms_optimum("rooms-ko", ids, vocabulary) is None
