"""CBOW and the NPLM against plain loops, and what a window remembers from block to block."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, ShapeError, VocabularyError
from elman.gradcheck import check_gradients
from elman.models.base import Past
from elman.models.window_models import CBOW, NPLM
from support.tiny import blocks_of

V, D, H, N, T = 7, 4, 4, 3, 5
MODELS: dict[str, Any] = {"cbow": lambda **o: CBOW(V, D, **o), "nplm": lambda **o: NPLM(V, D, H, **o)}


def window_lm(kind: str, window: int = 3, seed: int = 0, **options: Any) -> Any:
    """A float64 model whose weights are large enough for every part of it to matter."""
    rng = np.random.default_rng(seed)
    model = MODELS[kind](window=window, rng=rng, weight_scale=0.7, dtype=np.float64, **options)
    for weight in model.weights.values():
        if weight.ndim == 1:
            weight += rng.standard_normal(weight.shape)
    return model


def by_loops(model: Any, past: list[int]) -> Any:
    """ln P of every word after ``past``, one place of the window and one entry of the hidden layer at a time."""
    weights, k = model.weights, model.window
    window = ([-1] * k + list(past))[-k:]
    vectors = [weights["embedding"][i] if i >= 0 else np.zeros(D) for i in window]
    if isinstance(model, CBOW):
        hidden = np.array([sum(vector[d] for vector in vectors) / k for d in range(D)])
    else:
        hidden = weights["hidden.b"].copy()
        for place, vector in enumerate(vectors):
            for d in range(D):
                hidden += vector[d] * weights["hidden.W"][place * D + d]
        hidden = np.tanh(hidden)
    W = weights["embedding"].T if model.tie_weights else weights["output.W"]
    scores = np.array([hidden @ W[:, v] + weights["output.b"][v] for v in range(V)])
    return scores - np.log(np.exp(scores).sum())


@pytest.fixture(params=MODELS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("window", [1, 3, 8])
@pytest.mark.parametrize("tied", [False, True])
def test_reading_agrees_with_plain_loops(kind: str, window: int, tied: bool) -> None:
    model = window_lm(kind, window, tie_weights=tied)
    (ids,) = blocks_of(V, N, T, 1)
    scores, state = model.target_log_probs(ids, model.start(N))
    for n in range(N):
        for t in range(T):
            assert_allclose(scores[n, t], by_loops(model, ids[n, :t])[ids[n, t]])
        assert_allclose(model.next_log_probs(state)[n], by_loops(model, ids[n]))


@pytest.mark.parametrize("window", [1, 3, 8])
def test_windows_reach_back_into_the_blocks_before(kind: str, window: int) -> None:
    model = window_lm(kind, window)
    blocks = blocks_of(V, N, T, 3)
    text = np.concatenate(blocks, axis=1)
    for k, xs in enumerate(blocks[:2]):
        loss = model.forward(xs, blocks[k + 1])
        nll = [
            -by_loops(model, text[n, : k * T + t + 1])[blocks[k + 1][n, t]]
            for n in range(N)
            for t in range(T)
        ]
        assert_allclose(loss, np.mean(nll))


@pytest.mark.parametrize(
    ("window", "tied", "steps"), [(1, False, 5), (3, False, 1), (3, True, 5), (8, True, 2)]
)
@pytest.mark.parametrize("first", [True, False])
def test_gradients(kind: str, window: int, tied: bool, steps: int, first: bool) -> None:
    model = window_lm(kind, window, tie_weights=tied)
    before, xs, ts = blocks_of(V, N, steps, 3)
    assert check_gradients(model, xs, ts, before=None if first else before, max_entries=60).passed


def test_the_words_of_the_block_before_get_their_gradient(kind: str) -> None:
    model = window_lm(kind)
    model.forward(np.array([[1, 2]]), np.array([[0, 0]]))
    model.forward(np.array([[3, 3]]), np.array([[0, 0]]))
    model.backward()
    assert model.grad_rows[0].tolist() == [1, 2, 3]
    touched = np.abs(model.grads[0]).sum(axis=1) > 0
    assert touched.tolist() == [False, True, True, True, False, False, False]


def test_the_order_of_the_words_is_lost_in_a_mean_only() -> None:
    one, other = np.array([[1, 2, 3]]), np.array([[3, 1, 2]])
    for name, lost in (("cbow", True), ("nplm", False)):
        model = window_lm(name)
        rows = [model.next_log_probs(model.feed(ids, model.start())) for ids in (one, other)]
        assert np.allclose(*rows) == lost


def test_what_is_further_back_than_the_window_is_forgotten(kind: str) -> None:
    model = window_lm(kind)
    long, other = np.array([[6, 5, 1, 2, 3]]), np.array([[0, 0, 1, 2, 3]])
    assert model.feed(long, model.start()) == model.feed(other, model.start()) == Past(((1, 2, 3),))


def test_single_sequences_can_be_reset(kind: str) -> None:
    model = window_lm(kind)
    before, xs, ts = blocks_of(V, N, T, 3)
    assert model.carried_state() is None
    model.reset_state([1])  # where nothing is carried there is nothing to forget
    model.forward(before, xs)
    held = model.carried_state()
    model.reset_state(np.array([1]))
    assert model.carried_state() == Past((held.past[0], (-1, -1, -1), held.past[2]))
    loss = model.forward(xs, ts)
    model.carry(held.select([0]).join(model.start(), held.select([2])))
    assert model.forward(xs, ts) == loss
    model.reset_state()
    assert model.carried_state() is None


def test_a_state_survives_as_arrays(kind: str) -> None:
    model = window_lm(kind)
    state = model.feed(np.array([[1, 2], [3, 4]]), model.start(2))
    assert Past.from_arrays(state.to_arrays()) == state


def test_dropout_is_for_training_alone(kind: str) -> None:
    model = window_lm(kind, dropout=0.5)
    xs, ts = blocks_of(V, N, T, 2)

    def loss() -> float:
        model.reset_state()
        return float(model.forward(xs, ts))

    assert loss() != loss()
    model.train_mode(False)
    assert loss() == loss()


def test_the_hyperparameters_build_a_model_of_the_same_shape(kind: str) -> None:
    model = window_lm(kind, 4, tie_weights=True, dropout=0.25)
    twin = type(model)(**model.hyperparameters, weights=model.weights)
    assert twin.hyperparameters == model.hyperparameters
    state = model.feed(np.array([[1, 2]]), model.start())
    assert_array_equal(twin.next_log_probs(state), model.next_log_probs(state))


def test_the_weights_are_those_that_the_equations_need() -> None:
    assert {name: w.shape for name, w in CBOW(V, 3, 5).weights.items()} == {
        "embedding": (V, 3), "output.W": (3, V), "output.b": (V,),
    }  # fmt: skip
    assert {name: w.shape for name, w in NPLM(V, 3, 2, 5).weights.items()} == {
        "embedding": (V, 3), "hidden.W": (15, 2), "hidden.b": (2,), "output.W": (2, V), "output.b": (V,),
    }  # fmt: skip
    assert [p.shape for p in CBOW(V, 3, 5, tie_weights=True).params] == [(V, 3), (V,)]


def test_sizes_that_do_not_fit_are_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match="window must be ≥ 1, got 0"):
        window_lm(kind, 0)
    with pytest.raises(ConfigError, match="wordvec_size must be ≥ 1, got 0"):
        CBOW(V, 0)
    with pytest.raises(ConfigError, match="as wide as the hidden layer, got wordvec 3 and hidden 4"):
        NPLM(V, 3, 4, tie_weights=True)


def test_blocks_that_do_not_fit_are_refused(kind: str) -> None:
    model = window_lm(kind)
    xs, ts = blocks_of(V, N, T, 2)
    model.forward(xs, ts)
    with pytest.raises(
        ShapeError, match="carried words have 3 sequences but this block has 2; call reset_state"
    ):
        model.forward(xs[:2], ts[:2])
    for wrong in (-1, V):
        with pytest.raises(VocabularyError, match=f"got {wrong}"):
            model.forward(np.where(xs == xs[0, 0], wrong, xs), ts)
