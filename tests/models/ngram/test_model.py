"""The n-gram model against a dictionary of counts."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import ConfigError, ModelFileError, ShapeError, TextError, VocabularyError
from elman.models.base import LanguageModel
from elman.models.ngram.counts import count_ngrams
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import witten_bell

V = 5
texts = st.lists(st.integers(0, V - 1), min_size=1, max_size=40)
orders = st.integers(1, 4)


def witten_bell_by_hand(text: list[int], past: list[int], word: int, order: int) -> float:
    """P(word | past) by counting in dictionaries, from the uniform distribution upwards."""
    probability = 1 / V
    for n in range(1, order + 1):
        if n - 1 > len(past):
            break
        context = tuple(past[len(past) - (n - 1) :])
        followers = Counter(
            text[i + n - 1] for i in range(len(text) - n + 1) if tuple(text[i : i + n - 1]) == context
        )
        if followers:
            distinct, total = len(followers), followers.total()
            probability = (followers[word] + distinct * probability) / (total + distinct)
    return probability


@settings(deadline=None)
@given(text=texts, past=st.lists(st.integers(0, V - 1), max_size=6), order=orders)
def test_every_probability_is_the_oracles(text: list[int], past: list[int], order: int) -> None:
    model = NgramModel.train(np.array(text), V, order)
    state = model.feed(np.array([past], dtype=int), model.start())
    expected = [witten_bell_by_hand(text, past, word, order) for word in range(V)]
    probabilities = np.exp(model.next_log_probs(state))
    np.testing.assert_allclose(probabilities, [expected], rtol=1e-12)
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)


@settings(deadline=None)
@given(text=texts, data=st.data(), order=orders)
def test_targets_are_what_next_gives_token_by_token(text: list[int], data: st.DataObject, order: int) -> None:
    sequences, steps = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 6))
    ids = np.array(
        data.draw(st.lists(st.integers(0, V - 1), min_size=sequences * steps, max_size=sequences * steps)),
        dtype=int,
    )
    ids = ids.reshape(sequences, steps)
    model = NgramModel.train(np.array(text), V, order)
    targets, end = model.target_log_probs(ids, model.start(sequences))
    state = model.start(sequences)
    for t in range(steps):
        row = model.next_log_probs(state)[np.arange(sequences), ids[:, t]]
        np.testing.assert_allclose(targets[:, t], row, rtol=1e-12)
        state = model.feed(ids[:, t : t + 1], state)
    assert state == end
    assert hash(state) == hash(end)


def test_reading_in_parts_equals_reading_the_whole() -> None:
    rng = np.random.default_rng(0)
    model = NgramModel.train(rng.integers(0, 30, 2000), 30, 4)
    ids = rng.integers(0, 30, (3, 100))
    whole, end = model.target_log_probs(ids, model.start(3))
    state, pieces = model.start(3), []
    for cut in np.split(ids, [1, 2, 50], axis=1):
        log_probs, state = model.target_log_probs(cut, state)
        pieces.append(log_probs)
    np.testing.assert_array_equal(whole, np.concatenate(pieces, axis=1))
    assert state == end


def test_long_ngrams_over_a_large_vocabulary_do_not_collide() -> None:
    large = 2**31 - 1
    text = np.array([large - 1, 0, large - 1, large - 2, 0, large - 1] * 3)
    model = NgramModel.train(text, large, 6)
    log_probs, _ = model.target_log_probs(np.array([[large - 1, 0, large - 1, large - 2]]), model.start())
    assert log_probs[0, 3] > np.log(0.8)
    assert log_probs[0, 0] < np.log(0.6)


def test_a_sequence_takes_no_part_in_another() -> None:
    rng = np.random.default_rng(1)
    model = NgramModel.train(rng.integers(0, V, 200), V, 3)
    ids = rng.integers(0, V, (2, 7))
    both = model.feed(ids, model.start(2))
    one, two = (model.feed(ids[row : row + 1], model.start()) for row in (0, 1))
    assert both == one.join(two)
    assert both.select(np.array([1, 1, 0])) == two.join(two, one)
    assert both != both.select([1, 0])
    np.testing.assert_array_equal(model.next_log_probs(both)[1:], model.next_log_probs(two))


def test_the_state_keeps_the_last_ids_and_pads_the_beginning() -> None:
    model = NgramModel.train(np.arange(V), V, 4)
    assert model.start(2).past == ((-1, -1, -1), (-1, -1, -1))
    assert model.feed(np.array([[3]]), model.start()).past == ((-1, -1, 3),)
    assert model.feed(np.array([[0, 1, 2, 3]]), model.start()).past == ((1, 2, 3),)
    assert NgramModel.train(np.arange(V), V, 1).start().past == ((),)


def test_what_is_returned_belongs_to_the_caller() -> None:
    model = NgramModel.train(np.arange(V), V, 2)
    first = model.next_log_probs(model.start())
    kept = first.copy()
    first[:] = 0
    model.to_arrays()["1.weights"][:] = 0
    np.testing.assert_array_equal(model.next_log_probs(model.start()), kept)


def test_it_is_a_language_model() -> None:
    model = NgramModel.train(np.arange(V), V)
    assert isinstance(model, LanguageModel)
    assert (model.order, model.vocab_size) == (3, V)


@given(text=texts, order=orders)
def test_counts_are_a_dictionarys(text: list[int], order: int) -> None:
    for n, level in enumerate(count_ngrams(np.array(text), V, order), 1):
        expected = Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))
        assert sorted(level.counts) == sorted(expected.values())
        assert level.counts.sum() == max(len(text) - n + 1, 0)
        assert all(np.diff(level.keys) > 0)


@given(text=texts, order=orders)
def test_weights_and_backoff_of_every_context_sum_to_1(text: list[int], order: int) -> None:
    counts = count_ngrams(np.array(text), V, order)
    for level, smoothed in zip(counts, witten_bell(counts), strict=True):
        seen = np.bincount(level.contexts, weights=smoothed.weights, minlength=level.n_contexts)
        np.testing.assert_allclose(seen + smoothed.backoffs, 1, rtol=1e-12)


@given(text=texts, order=orders)
def test_arrays_hold_the_whole_model(text: list[int], order: int) -> None:
    model = NgramModel.train(np.array(text), V, order)
    again = NgramModel.from_arrays(model.to_arrays())
    assert (again.order, again.vocab_size) == (model.order, model.vocab_size)
    ids = np.array([text])
    for ours, theirs in zip(
        model.target_log_probs(ids, model.start()), again.target_log_probs(ids, again.start()), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("vocab_size", None),
        ("vocab_size", np.array([1, 2])),
        ("vocab_size", np.array([0])),
        ("1.keys", None),
        ("2.weights", None),
        ("2.keys", np.array([5, 1, 2, 3])),
        ("2.keys", np.array([1, 2, 3, 400])),
        ("2.keys", np.array([-1, 2, 3, 4])),
        ("2.keys", np.array([1.0, 2, 3, 4])),
        ("2.weights", np.ones(3)),
        ("2.backoffs", np.ones((5, 1))),
    ],
)
def test_damaged_arrays_are_refused_by_name(name: str, array: np.ndarray | None) -> None:
    arrays = NgramModel.train(np.arange(V), V, 2).to_arrays()
    assert len(arrays["2.keys"]) == 4
    del arrays[name]
    if array is not None:
        arrays[name] = array
    with pytest.raises(ModelFileError, match=name):
        NgramModel.from_arrays(arrays)


def test_impossible_training_is_refused() -> None:
    with pytest.raises(ConfigError, match="order"):
        NgramModel.train(np.arange(V), V, 0)
    with pytest.raises(TextError, match="at least one token"):
        NgramModel.train(np.zeros(0, int), V)
    with pytest.raises(ShapeError, match=r"\(T,\), got \(1, 5\)"):
        NgramModel.train(np.arange(V)[None], V)
    with pytest.raises(VocabularyError, match=r"\[0, 4\), got 4"):
        NgramModel.train(np.arange(V), 4)


def test_ids_of_other_sequences_are_refused() -> None:
    model = NgramModel.train(np.arange(V), V)
    with pytest.raises(ShapeError, match=r"\(2, T\)"):
        model.feed(np.zeros((3, 1), int), model.start(2))
