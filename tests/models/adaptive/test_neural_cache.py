"""The neural cache: the last words, weighted by the similarity of their pasts to the present."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError
from elman.models.adaptive import cache
from elman.models.adaptive.cache import CachedModel, NeuralCache
from elman.models.ngram.model import NgramModel
from support.tiny import ids_of_length, small_lm

V = 9


def by_summing(inner: Any, ids: Any, size: int, theta: float, weight: float) -> list[float]:
    """ln P of each of ids (T,), from the definition, word by word."""
    state, found, remembered = inner.start(), [], []
    for word in ids:
        h = state.h[-1][0]
        p = math.exp(inner.next_log_probs(state)[0, word])
        last = [
            (math.exp(theta * sum(a * b for a, b in zip(h, h_i, strict=True))), x)
            for h_i, x in remembered[-size:]
        ]
        if last:
            cached = sum(w for w, x in last if x == word) / sum(w for w, _ in last)
            p = (1 - weight) * p + weight * cached
        found.append(math.log(p))
        remembered.append((h, word))
        state = inner.feed(np.array([[word]]), state)
    return found


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("chunk", [4, 128])
@pytest.mark.parametrize(
    "options",
    [{}, {"cell": "lstm", "layers": 2}, {"cell": "gru", "adaptive": (2, 5), "ranks": ids_of_length(V, V)}],
    ids=["rnn", "lstm 2 layers", "gru adaptive"],
)
def test_it_is_the_definition(
    monkeypatch: pytest.MonkeyPatch, size: int, chunk: int, options: dict[str, Any]
) -> None:
    monkeypatch.setattr(cache, "_CHUNK", chunk)
    inner, ids = small_lm(V, **options), ids_of_length(30, V, seed=3)
    model = NeuralCache(inner, size, 1.5, 0.4)
    scores, _ = model.target_log_probs(ids[None], model.start())
    assert_allclose(scores[0], by_summing(inner, ids, size, 1.5, 0.4))


def test_with_theta_0_all_words_weigh_the_same() -> None:
    ids = ids_of_length(60, V).reshape(3, 20)
    neural, plain = NeuralCache(small_lm(V), 7, 0, 0.3), CachedModel(small_lm(V), 7, 0.3)
    scores, state = neural.target_log_probs(ids, neural.start(3))
    expected, plain_state = plain.target_log_probs(ids, plain.start(3))
    assert_allclose(scores, expected)
    assert_allclose(neural.next_log_probs(state), plain.next_log_probs(plain_state))


def test_a_large_theta_overflows_nothing() -> None:
    model, ids = NeuralCache(small_lm(V), 7, 1e6, 0.3), ids_of_length(20, V)[None]
    scores, state = model.target_log_probs(ids, model.start())
    assert np.isfinite(scores).all()
    assert np.exp(model.next_log_probs(state)).sum() == pytest.approx(1)


def test_the_hidden_states_are_those_that_words_are_predicted_from() -> None:
    inner, ids = small_lm(V, cell="lstm"), ids_of_length(22, V).reshape(2, 11)
    state = inner.feed(ids[:, :3], inner.start(2))
    found = inner.hidden(ids[:, 3:], state)
    for t in range(3, 11):
        assert_array_equal(found[:, t - 3], state.h[-1])
        state = inner.feed(ids[:, t : t + 1], state)


def test_another_kind_of_model_is_refused() -> None:
    counted = NgramModel.train(ids_of_length(200, V), V, 3)
    with pytest.raises(
        ConfigError, match="recurrent model, which NgramModel does not have; use `cache=SIZE`"
    ):
        NeuralCache(counted, 5, 0.3, 0.1)


@pytest.mark.parametrize("theta", [-0.1, math.inf, math.nan])
def test_a_theta_that_makes_no_sense_is_refused(theta: float) -> None:
    with pytest.raises(ConfigError, match=f"theta of a neural cache must be ≥ 0 and finite, got {theta}"):
        NeuralCache(small_lm(V), 5, theta, 0.1)
