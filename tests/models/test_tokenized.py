"""On how much of the past the probabilities of each kind of model depend."""

from typing import Any

import numpy as np
import pytest

from elman.models.adaptive.cache import CachedModel
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.models.tokenized import ngram_lengths, null_context, order_of
from elman.models.window_models import CBOW
from support.tiny import ids_of_length, small_lm

V = 9
IDS = ids_of_length(60, V)
BIGRAM, TRIGRAM = (NgramModel.train(IDS, V, order, eos=0) for order in (2, 3))
WINDOW = CBOW(V, 4, window=4)


@pytest.mark.parametrize(
    ("model", "order"),
    [
        (TRIGRAM, 3),
        (WINDOW, 5),
        (small_lm(V), None),
        (DynamicModel(WINDOW, 0.1), None),
        (Mixture([BIGRAM, TRIGRAM], [0.5, 0.5]), 3),
        (Mixture([BIGRAM, small_lm(V)], [0.5, 0.5]), None),
        (CachedModel(TRIGRAM, 7, 0.1), 8),
        (CachedModel(TRIGRAM, 1, 0.1), 3),
        (CachedModel(small_lm(V), 7, 0.1), None),
    ],
)
def test_the_order_is_the_most_that_a_probability_depends_on(model: Any, order: int | None) -> None:
    assert order_of(model) == order
    assert ngram_lengths(model, np.zeros((1, 0), int), model.start(), 0).shape == (1, 0)


def test_an_n_gram_is_as_long_as_training_showed() -> None:
    model = NgramModel.train(np.array([1, 2, 3, 0, 2, 4, 0]), 6, 3, eos=0)
    expected = {(1, 2, 3, 0): [2, 3, 3, 3], (2, 3, 4): [2, 2, 1], (5, 5, 2, 4, 0): [1, 1, 1, 2, 3]}
    for text, lengths in expected.items():
        assert model.matched_lengths(np.array([text]), model.start()).tolist() == [lengths]
    nothing = null_context(model)
    assert model.matched_lengths(np.array([[1, 2]]), nothing).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: model,
        lambda model: Mixture([model, BIGRAM], [1.0, 0.0]),
        lambda model: CachedModel(model, 5, 0.0),
    ],
)
def test_the_null_context_has_no_sentence(wrap: Any) -> None:
    model = wrap(TRIGRAM)
    state = null_context(model)
    assert state.batch_size == 1
    assert state != model.start()
    unigram = NgramModel.train(IDS, V, 1, eos=0)
    assert np.allclose(model.next_log_probs(state), unigram.next_log_probs(unigram.start()))
