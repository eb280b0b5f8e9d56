"""The continuous cache: the model's probabilities, mixed with relative frequencies of the last words."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.errors import ConfigError
from elman.evaluation.perplexity import evaluate
from elman.models.adaptive import cache
from elman.models.adaptive.cache import CachedModel
from elman.models.ngram.model import NgramModel
from support.tiny import ids_of_length, small_lm

V = 9


def ngram() -> NgramModel:
    return NgramModel.train(ids_of_length(200, V), V, 3)


def by_counting(inner: Any, ids: Any, size: int, weight: float) -> list[float]:
    """ln P of each of ids (T,), from the definition, word by word."""
    state, found = inner.start(), []
    for t, word in enumerate(ids):
        p = math.exp(inner.next_log_probs(state)[0, word])
        last = list(ids[max(0, t - size) : t])
        if last:
            p = (1 - weight) * p + weight * last.count(word) / len(last)
        found.append(math.log(p))
        state = inner.feed(np.array([[word]]), state)
    return found


@pytest.mark.parametrize("size", [1, 3, 10, 1000])
@pytest.mark.parametrize("chunk", [1, 4, 128])
def test_it_is_the_definition(monkeypatch: pytest.MonkeyPatch, size: int, chunk: int) -> None:
    monkeypatch.setattr(cache, "_CHUNK", chunk)
    ids = ids_of_length(40, V, seed=3)
    scores, _ = CachedModel(ngram(), size, 0.4).target_log_probs(
        ids[None], CachedModel(ngram(), size, 0.4).start()
    )
    assert_allclose(scores[0], by_counting(ngram(), ids, size, 0.4))


def test_several_sequences_in_small_chunks_are_each_sequence_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = CachedModel(small_lm(V), 5, 0.2), ids_of_length(60, V).reshape(3, 20)
    alone = [model.target_log_probs(row[None], model.start())[0][0] for row in ids]
    monkeypatch.setattr(cache, "_MAX_WEIGHTS", 1)
    assert_allclose(model.target_log_probs(ids, model.start(3))[0], alone)


def test_sequences_that_have_read_unlike_much_are_joined() -> None:
    model, ids = CachedModel(ngram(), 6, 0.3), ids_of_length(20, V)
    pasts = [ids[:2], ids[:0], ids[:9]]
    states = [model.feed(past[None], model.start()) for past in pasts]
    joined = states[0].join(*states[1:])
    assert joined.batch_size == 3
    for row, state in enumerate(states):
        assert joined.select([row]) == state
        assert hash(joined.select([row])) == hash(state)
    scores, after = model.target_log_probs(np.tile(ids[9:], (3, 1)), joined)
    for row, past in enumerate(pasts):
        expected = by_counting(ngram(), np.concatenate([past, ids[9:]]), 6, 0.3)
        assert_allclose(scores[row], expected[len(past) :])
        assert after.select([row]) == model.feed(ids[None, 9:], states[row])


def test_an_empty_cache_takes_no_part() -> None:
    model = CachedModel(ngram(), 6, 0.3)
    assert_allclose(model.next_log_probs(model.start(2)), ngram().next_log_probs(ngram().start(2)))


def test_a_weight_of_0_is_the_model_itself() -> None:
    ids = ids_of_length(40, V)
    assert evaluate(CachedModel(ngram(), 6, 0), ids).nll_nats == pytest.approx(
        evaluate(ngram(), ids).nll_nats
    )


def test_a_state_is_not_changed_by_its_reader() -> None:
    state = CachedModel(ngram(), 6, 0.3).feed(
        ids_of_length(20, V)[None], CachedModel(ngram(), 6, 0.3).start()
    )
    assert state.words.shape == (1, 6)
    with pytest.raises(ValueError, match="read-only"):
        state.words[0, 0] = 1


def test_a_bursty_text_is_easier_with_a_cache() -> None:
    bursty = np.repeat(ids_of_length(40, V), 5)
    flat = NgramModel.train(ids_of_length(200, V), V, 1)
    assert evaluate(CachedModel(flat, 5, 0.5), bursty).perplexity < 0.7 * evaluate(flat, bursty).perplexity


@pytest.mark.parametrize(
    ("size", "weight", "message"),
    [
        (0, 0.1, "the size of a cache must be ≥ 1 word, got 0"),
        (-3, 0.1, "got -3"),
        (5, 1.0, r"the weight of a cache must be in \[0, 1\), got 1.0"),
        (5, -0.1, "got -0.1"),
        (5, math.nan, "got nan"),
    ],
)
def test_what_makes_no_sense_is_refused(size: int, weight: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CachedModel(ngram(), size, weight)
