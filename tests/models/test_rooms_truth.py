"""The world as a language model: its evaluation is the lowest possible perplexity."""

from itertools import islice

import numpy as np
import pytest

from elman.errors import ShapeError, VocabularyError
from elman.models.base import LanguageModel
from elman.models.rooms_truth import RoomsTruth
from elman.text.rooms import World

both_languages = pytest.mark.parametrize("language", ["en", "ko"])


def vocabulary_of(language: str) -> list[str]:
    return ["<unk>", *reversed(World(language).vocabulary), "extra"]


def truth_and_ids(language: str, n: int, seed: int = 0) -> tuple[RoomsTruth, np.ndarray, np.ndarray]:
    """The model over a vocabulary that holds more than the world, ids (1, n) and their probabilities."""
    world, vocabulary = World(language), vocabulary_of(language)
    tokens, probabilities = zip(*islice(world.tokens(np.random.default_rng(seed)), n), strict=True)
    ids = np.array([[vocabulary.index(token) for token in tokens]])
    return RoomsTruth(world, vocabulary), ids, np.array(probabilities)


@both_languages
def test_target_log_probs_are_the_worlds(language: str) -> None:
    truth, ids, probabilities = truth_and_ids(language, 2000)
    log_probs, _ = truth.target_log_probs(ids, truth.start())
    np.testing.assert_allclose(np.exp(log_probs[0]), probabilities, rtol=1e-12)


@both_languages
def test_rows_sum_to_1_and_hold_the_targets(language: str) -> None:
    truth, ids, _ = truth_and_ids(language, 150)
    targets, last = truth.target_log_probs(ids, truth.start())
    state = truth.start()
    for t in range(ids.shape[1]):
        rows = truth.next_log_probs(state)
        assert np.exp(rows).sum() == pytest.approx(1, abs=1e-12)
        assert rows[0, ids[0, t]] == targets[0, t]
        assert rows[0, 0] == -np.inf
        state = truth.feed(ids[:, t : t + 1], state)
    assert state == last
    assert hash(state) == hash(last)


def test_an_end_of_line_before_anything_is_read_changes_nothing() -> None:
    truth, ids, probabilities = truth_and_ids("en", 300)
    state = truth.feed(np.array([[vocabulary_of("en").index("<eos>")]]), truth.start())
    assert state == truth.start()
    log_probs, _ = truth.target_log_probs(ids, state)
    assert np.exp(log_probs.sum()) == pytest.approx(np.prod(probabilities))


def test_what_the_world_cannot_say_is_impossible_until_the_line_ends() -> None:
    vocabulary = vocabulary_of("en")
    truth = RoomsTruth(World("en"), vocabulary)
    words = ["Tom", "extra", "was", "<eos>", "Tom"]
    ids = np.array([[vocabulary.index(word) for word in words]])
    log_probs, _ = truth.target_log_probs(ids, truth.start())
    uniform = -np.log(len(vocabulary))
    np.testing.assert_allclose(log_probs[0], [-np.log(8), -np.inf, uniform, uniform, -np.log(8)])
    astray = truth.feed(ids[:, :2], truth.start())
    np.testing.assert_allclose(truth.next_log_probs(astray), np.full((1, len(vocabulary)), uniform))


def test_sequences_are_independent_and_can_be_selected_and_joined() -> None:
    truth, first, _ = truth_and_ids("ko", 40, seed=1)
    _, second, _ = truth_and_ids("ko", 40, seed=2)
    both = truth.feed(np.concatenate([first, second]), truth.start(2))
    one, two = truth.feed(first, truth.start()), truth.feed(second, truth.start())
    assert both == one.join(two)
    assert both.select([1, 0, 1]) == two.join(one, two)
    assert both.select([1, 0, 1]).batch_size == 3
    rows = truth.next_log_probs(both)
    np.testing.assert_array_equal(rows, np.concatenate([truth.next_log_probs(s) for s in (one, two)]))


def test_reading_in_parts_equals_reading_the_whole() -> None:
    truth, ids, _ = truth_and_ids("en", 100)
    whole, end = truth.target_log_probs(ids, truth.start())
    left, middle = truth.target_log_probs(ids[:, :37], truth.start())
    right, end_of_pieces = truth.target_log_probs(ids[:, 37:], middle)
    np.testing.assert_array_equal(whole, np.concatenate([left, right], axis=1))
    assert end == end_of_pieces


def test_it_is_a_language_model_over_the_whole_vocabulary() -> None:
    truth = RoomsTruth(World("en"), vocabulary_of("en"))
    assert isinstance(truth, LanguageModel)
    assert truth.vocab_size == len(vocabulary_of("en"))


def test_a_vocabulary_that_does_not_fit_is_refused() -> None:
    world = World("en")
    with pytest.raises(VocabularyError, match="lacks 1 tokens of the rooms world, the first being 'TV'"):
        RoomsTruth(world, [token for token in world.vocabulary if token != "TV"])
    with pytest.raises(VocabularyError, match="twice"):
        RoomsTruth(world, [*world.vocabulary, "TV"])


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (np.zeros((2, 3), int), ShapeError, r"\(1, T\).*\(2, 3\)"),
        (np.zeros(3, int), ShapeError, r"got \(3,\)"),
        (np.zeros((1, 3)), VocabularyError, "integers, got float64"),
        (np.array([[0, 999]]), VocabularyError, "got 999"),
        (np.array([[0, -1]]), VocabularyError, "got -1"),
    ],
)
def test_ids_that_do_not_fit_are_refused(ids: np.ndarray, error: type[Exception], message: str) -> None:
    truth = RoomsTruth(World("en"), vocabulary_of("en"))
    with pytest.raises(error, match=message):
        truth.feed(ids, truth.start())
