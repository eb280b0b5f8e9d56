"""Every LanguageModel keeps the promises of the protocol."""

import copy
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ShapeError, VocabularyError
from elman.models.adaptive.cache import CachedModel, NeuralCache
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.base import LanguageModel
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import kneser_ney
from elman.models.recurrent import SimpleRnnlm
from elman.models.rooms_truth import RoomsTruth
from elman.models.window_models import CBOW, NPLM
from elman.text.rooms import World
from elman.workers import use_workers
from support.cells import CELLS as PLANNED
from support.tiny import ids_of_length, small_lm

V, N, T = 9, 3, 11
Given = tuple[Any, Any]  # a model, and ids (N, T) that it gives a probability


def random_ids() -> Any:
    return ids_of_length(N * T, V).reshape(N, T)


def recurrent(**options: Any) -> Callable[[], Given]:
    return lambda: (small_lm(V, **options), random_ids())


def simple() -> Given:
    return SimpleRnnlm(V, 4, 5, rng=np.random.default_rng(0)), random_ids()


def ngram(order: int) -> Callable[[], Given]:
    return lambda: (NgramModel.train(ids_of_length(200, V), V, order), random_ids())


def sentences() -> Given:
    return NgramModel.train(ids_of_length(200, V), V, 4, kneser_ney, eos=2), random_ids()


def cached_ngram() -> Given:
    model, ids = ngram(3)()
    return CachedModel(model, 4, 0.3), ids


def neural_cache() -> Given:
    return NeuralCache(small_lm(V, cell="lstm", dtype=np.float32), 4, 0.7, 0.3), random_ids()


def dynamic() -> Given:
    return DynamicModel(small_lm(V, cell="lstm"), lr=0.5, decay=0.01, block=4), random_ids()


def dynamic_window() -> Given:
    inner, ids = nplm(window=2, dtype=np.float64)()
    return DynamicModel(inner, lr=0.5, block=3), ids


def neural_cache_of_dynamic() -> Given:
    return NeuralCache(dynamic()[0], 4, 0.7, 0.3), random_ids()


def cbow(**options: Any) -> Callable[[], Given]:
    return lambda: (CBOW(V, 4, 3, rng=np.random.default_rng(2), weight_scale=0.5, **options), random_ids())


def nplm(**options: Any) -> Callable[[], Given]:
    return lambda: (NPLM(V, 5, 5, rng=np.random.default_rng(3), weight_scale=0.5, **options), random_ids())


def mixture() -> Given:
    return Mixture([recurrent(cell="lstm")()[0], sentences()[0]], (0.3, 0.7)), random_ids()


def rooms() -> Given:
    world = World("en")
    tokens = list(world.vocabulary)
    texts = [islice(world.tokens(np.random.default_rng(seed)), T) for seed in range(N)]
    return RoomsTruth(world, tokens), np.array([[tokens.index(word) for word, _ in text] for text in texts])


MODELS: dict[str, Callable[[], Given]] = {
    "SimpleRnnlm": simple,
    "rnn": recurrent(),
    "rnn float32": recurrent(dtype=np.float32),
    "lstm": recurrent(cell="lstm"),
    "gru": recurrent(cell="gru"),
    **{cell: recurrent(cell=cell, layers=2) for cell in PLANNED},
    "lstm 2 layers dropout": recurrent(cell="lstm", layers=2, dropout=0.5),
    "gru tied": recurrent(cell="gru", D=5, tie_weights=True),
    "rnn one-hot": recurrent(D=0),
    "lstm adaptive": recurrent(cell="lstm", adaptive=(2, 5), ranks=ids_of_length(V, V)),
    "cbow": cbow(dtype=np.float64),
    "cbow tied": cbow(tie_weights=True),
    "nplm": nplm(window=4, dtype=np.float64),
    "nplm of one word": nplm(window=1),
    "nplm tied dropout": nplm(window=2, tie_weights=True, dropout=0.5),
    "1-gram": ngram(1),
    "3-gram": ngram(3),
    "4-gram of sentences": sentences,
    "rooms": rooms,
    "mixture": mixture,
    "cached 3-gram": cached_ngram,
    "neural cache": neural_cache,
    "dynamic": dynamic,
    "neural cache of dynamic": neural_cache_of_dynamic,
    "dynamic window": dynamic_window,
}
RECURRENT = [
    name
    for name in MODELS
    if not any(other in name for other in ("gram", "rooms", "mixture", "cache", "dynamic"))
]


@pytest.fixture(params=MODELS)
def given(request: pytest.FixtureRequest) -> Given:
    return MODELS[request.param]()


@pytest.fixture(params=RECURRENT)
def trainable(request: pytest.FixtureRequest) -> Given:
    return MODELS[request.param]()


def test_answers_the_calls(given: Given) -> None:
    model, _ = given
    assert isinstance(model, LanguageModel)
    assert model.start(4).batch_size == 4
    assert model.start().batch_size == 1
    assert model.next_log_probs(model.start(2)).shape == (2, model.vocab_size)


def test_probabilities_sum_to_1_at_every_step(given: Given) -> None:
    model, ids = given
    state = model.start(N)
    for t in range(T):
        assert_allclose(np.exp(model.next_log_probs(state)).sum(axis=1), 1, rtol=1e-5)
        state = model.feed(ids[:, t : t + 1], state)


def test_target_log_probs_are_those_of_the_next_token_step_by_step(given: Given) -> None:
    model, ids = given
    scores, after = model.target_log_probs(ids, model.start(N))
    assert scores.shape == (N, T)
    state = model.start(N)
    for t in range(T):
        rows = model.next_log_probs(state)
        assert_allclose(scores[:, t], rows[np.arange(N), ids[:, t]], rtol=1e-5)
        state = model.feed(ids[:, t : t + 1], state)
    assert_allclose(model.next_log_probs(after), model.next_log_probs(state), rtol=1e-5)


@pytest.mark.parametrize("cuts", [(1,), (4,), (3, 4, 9), (0, 5, 5, T)])
def test_scoring_in_parts_equals_scoring_the_whole(given: Given, cuts: tuple[int, ...]) -> None:
    model, ids = given
    whole, end = model.target_log_probs(ids, model.start(N))
    state, parts = model.start(N), []
    for piece in np.split(ids, cuts, axis=1):
        scores, state = model.target_log_probs(piece, state)
        parts.append(scores)
    assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-5)
    assert_allclose(model.next_log_probs(state), model.next_log_probs(end), rtol=1e-5)


def test_reading_nothing_changes_nothing(given: Given) -> None:
    model, ids = given
    state = model.feed(ids, model.start(N))
    scores, after = model.target_log_probs(ids[:, :0], state)
    assert scores.shape == (N, 0)
    assert after == state
    assert model.feed(ids[:, :0], state) == state


@pytest.mark.parametrize("seed", range(3))
def test_what_is_not_counted_is_read_all_the_same(given: Given, seed: int) -> None:
    model, ids = given
    counted = np.random.default_rng(seed).random((N, T)) < seed / 2  # none, some, all
    whole, end = model.target_log_probs(ids, model.start(N))
    scores, after = model.target_log_probs(ids, model.start(N), counted)
    assert_allclose(scores, np.where(counted, whole, 0), rtol=1e-5)
    assert scores.dtype == whole.dtype
    assert after == end


@pytest.mark.parametrize("wrong", [np.ones((N, T - 1), bool), np.ones(T, bool), np.ones((N, T), int)])
def test_a_mask_that_does_not_fit_is_refused(given: Given, wrong: Any) -> None:
    model, ids = given
    with pytest.raises(ShapeError, match=rf"counted must be booleans \({N}, {T}\)"):
        model.target_log_probs(ids, model.start(N), wrong)


def test_feeding_leads_where_scoring_leads(given: Given) -> None:
    model, ids = given
    assert model.feed(ids, model.start(N)) == model.target_log_probs(ids, model.start(N))[1]


def test_a_state_is_a_value(given: Given) -> None:
    model, ids = given
    state, twin = (model.feed(ids, model.start(N)) for _ in range(2))
    other = model.feed(ids[:, :-1], model.start(N))
    assert state == twin
    assert hash(state) == hash(twin)
    assert {state: "seen"}[twin] == "seen"
    assert (state == other) == (hash(state) == hash(other))
    assert state != "no state"


@pytest.mark.parametrize("workers", [2, 3])
def test_several_threads_read_what_one_reads(trainable: Given, workers: int) -> None:
    model, ids = trainable
    for block in (ids, ids[:, :1], ids[:, :0]):
        alone, end = model.target_log_probs(block, model.start(N))
        with use_workers(workers):
            together, after = model.target_log_probs(block, model.start(N))
        assert_allclose(together, alone, rtol=1e-5)
        assert_allclose(model.next_log_probs(after), model.next_log_probs(end), rtol=1e-5)


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"1-gram"}))  # which remembers nothing
def test_states_with_another_past_differ(name: str) -> None:
    model, ids = MODELS[name]()
    assert model.feed(ids[:, :-1], model.start(N)) != model.feed(ids[:, :-2], model.start(N))


def test_sequences_are_selected_and_joined(given: Given) -> None:
    model, ids = given
    state = model.feed(ids, model.start(N))
    rows = model.next_log_probs(state)
    chosen = state.select([2, 0, 2, 1])
    assert chosen.batch_size == 4
    assert_allclose(model.next_log_probs(chosen), rows[[2, 0, 2, 1]], rtol=1e-5)
    assert state.select(np.array([0])).join(state.select([1]), state.select([2])) == state
    assert state.join() == state
    assert state.join(state).select(range(N, 2 * N)) == state


def test_sequences_do_not_look_at_one_another(given: Given) -> None:
    model, ids = given
    alone, _ = model.target_log_probs(ids[1:2], model.start())
    together, _ = model.target_log_probs(ids, model.start(N))
    assert_allclose(together[1:2], alone, rtol=1e-5)


def test_no_later_call_changes_a_state(given: Given) -> None:
    model, ids = given
    state = model.feed(ids, model.start(N))
    kept, rows = copy.deepcopy(state), model.next_log_probs(state)
    model.feed(ids[:, ::-1], state)
    model.target_log_probs(ids, state)
    model.feed(ids, model.start(N))
    state.select([0]).join(state)
    assert state == kept
    assert_array_equal(model.next_log_probs(state), rows)


def test_results_belong_to_the_caller(given: Given) -> None:
    model, ids = given
    start = model.start(N)
    rows, (scores, state) = model.next_log_probs(start), model.target_log_probs(ids, start)
    kept = rows.copy(), scores.copy()
    model.target_log_probs(ids[:, ::-1], state)
    model.next_log_probs(state)
    for mine, before in zip((rows, scores), kept, strict=True):
        assert_array_equal(mine, before)
        mine[...] = 0.5  # what a caller does with its arrays is its own affair
    assert_array_equal(model.next_log_probs(start), kept[0])
    assert_array_equal(model.target_log_probs(ids, start)[0], kept[1])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda ids, V: ids[0], ShapeError),
        (lambda ids, V: ids[:2], ShapeError),
        (lambda ids, V: ids + 0.5, VocabularyError),
        (lambda ids, V: np.where(ids == ids[0, 0], V, ids), VocabularyError),
        (lambda ids, V: np.where(ids == ids[0, 0], -1, ids), VocabularyError),
    ],
    ids=["one-dimensional", "other sequences", "no integers", "too large", "negative"],
)
def test_ids_that_do_not_fit_are_refused(given: Given, change: Any, error: type[Exception]) -> None:
    model, ids = given
    wrong = change(ids, model.vocab_size)
    with pytest.raises(error):
        model.feed(wrong, model.start(N))
    with pytest.raises(error):
        model.target_log_probs(wrong, model.start(N))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_ids_of_any_integer_type_are_read(given: Given, dtype: Any) -> None:
    model, ids = given
    assert model.feed(ids.astype(dtype), model.start(N)) == model.feed(ids, model.start(N))


def train_on(model: Any, ids: Any) -> None:
    """One block forward and backward, and a step of gradient descent."""
    model.forward(ids[:, :-1], ids[:, 1:])
    model.backward()
    for param, grad in zip(model.params, model.grads, strict=True):
        param -= 0.1 * grad


def test_reading_leaves_the_carried_state_of_training_alone(trainable: Given) -> None:
    model, ids = trainable
    train_on(model, ids)
    carried = model.carried_state()
    model.feed(ids[:1], model.start())  # another number of sequences, too
    model.target_log_probs(ids, model.start(N))
    model.next_log_probs(model.start(2))
    assert model.carried_state() == carried


@pytest.mark.parametrize("name", RECURRENT)
def test_reading_between_forward_and_backward_changes_no_gradient(name: str) -> None:
    (model, ids), (twin, _) = MODELS[name](), MODELS[name]()
    for each in (model, twin):
        each.forward(ids, ids[:, ::-1])
        if each is model:
            each.target_log_probs(ids[:2, ::-1], each.start(2))
        each.backward()
    for grad, expected in zip(model.grads, twin.grads, strict=True):
        assert_array_equal(grad, expected)


def test_training_leaves_states_that_were_read_alone(trainable: Given) -> None:
    model, ids = trainable
    state = model.feed(ids, model.start(N))
    carried = model.carried_state()
    kept = copy.deepcopy(state)
    train_on(model, ids)
    held = model.carried_state()
    kept_carried = copy.deepcopy(held)
    train_on(model, ids[:, ::-1])
    assert carried is None
    assert state == kept
    assert held == kept_carried
    assert model.carried_state() != held
