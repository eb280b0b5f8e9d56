"""Mixtures of models: their probability is the weighted mean, and EM finds the weights that suit a text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, ModelFileError, ShapeError, TextError, VocabularyError
from elman.formats.model_file import read_arrays, save_model, write_arrays
from elman.models.base import LanguageModel
from elman.models.mixture import GAP, Mixture, fit_weights, mix_log_probs
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import kneser_ney
from elman.text_model import TextModel, load
from support.tiny import ids_of_length, small_lm, text_model

V = 9
FULL = np.log(np.array([[0.5, 0.1], [0.2, 0.3], [0.1, 0.4], [0.6, 0.2], [0.3, 0.3]]))  # both models matter


def members() -> list[LanguageModel]:
    counted = NgramModel.train(ids_of_length(200, V), V, 4, kneser_ney, eos=2)
    return [
        small_lm(V, cell="lstm"),
        counted,
        small_lm(V, seed=2, adaptive=(2, 5), ranks=ids_of_length(V, V)),
    ]


def mean_ln(log_probs: Any, weights: Any) -> float:
    """The mean log likelihood, by its definition."""
    return float(np.log(np.exp(log_probs) @ np.asarray(weights)).mean())


def random_log_probs(n: int, K: int, seed: int) -> Any:
    return np.log(np.random.default_rng(seed).random((n, K)) + 1e-3)


def test_the_probability_is_the_weighted_mean_of_the_members() -> None:
    models, weights = members(), (0.5, 0.3, 0.2)
    mixture, ids = Mixture(models, weights), ids_of_length(14, V).reshape(2, 7)
    expected = sum(
        w * np.exp(m.target_log_probs(ids, m.start(2))[0]) for w, m in zip(weights, models, strict=True)
    )
    assert_allclose(np.exp(mixture.target_log_probs(ids, mixture.start(2))[0]), expected, rtol=1e-12)
    state = mixture.feed(ids, mixture.start(2))
    rows = (np.exp(m.next_log_probs(m.feed(ids, m.start(2)))) for m in models)
    expected = sum(w * row for w, row in zip(weights, rows, strict=True))
    assert_allclose(np.exp(mixture.next_log_probs(state)), expected, rtol=1e-12)


def test_all_the_weight_on_one_member_is_that_member() -> None:
    models = members()
    mixture, ids = Mixture(models, (0, 1, 0)), ids_of_length(12, V)[None]
    assert_array_equal(
        mixture.target_log_probs(ids, mixture.start())[0],
        models[1].target_log_probs(ids, models[1].start())[0],
    )


def test_neither_impossible_nor_tiny_probabilities_break_the_sum() -> None:
    one, other = np.array([-np.inf, -np.inf, -2000.0]), np.array([-np.inf, -1.0, -2000.0])
    mixed = mix_log_probs([one, other], [0.5, 0.5])
    assert_allclose(mixed, [-np.inf, np.log(0.5) - 1, -2000])


def test_a_mixture_of_mixtures_is_a_mixture() -> None:
    a, b, c = members()
    nested = Mixture([Mixture([a, b], (0.25, 0.75)), c], (0.4, 0.6))
    flat, ids = Mixture([a, b, c], (0.1, 0.3, 0.6)), ids_of_length(12, V)[None]
    assert_allclose(
        nested.target_log_probs(ids, nested.start())[0], flat.target_log_probs(ids, flat.start())[0]
    )


@pytest.mark.parametrize(
    "weights", [(0.5,), (0.5, 0.3, 0.2), (0.5, 0.6), (1.5, -0.5), (np.nan, 1.0), (np.nan, np.nan)]
)
def test_weights_that_are_none_are_refused(weights: Any) -> None:
    with pytest.raises(ConfigError, match="weights"):
        Mixture([small_lm(V), small_lm(V)], weights)


def test_models_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one model, got none"):
        Mixture([], [])
    with pytest.raises(VocabularyError, match=r"\[8, 9\] tokens"):
        Mixture([small_lm(9), small_lm(8)], [0.5, 0.5])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10_000))
def test_of_two_models_no_weight_on_a_grid_is_better(n: int, seed: int) -> None:
    log_probs = random_log_probs(n, 2, seed)
    found = mean_ln(log_probs, fit_weights(log_probs, steps=100_000))
    grid = np.linspace(0, 1, 201)
    assert found >= max(mean_ln(log_probs, (w, 1 - w)) for w in grid) - 2 * GAP


def test_the_weight_is_where_the_grid_has_it() -> None:
    grid = np.linspace(0, 1, 10_001)
    best = grid[np.argmax([mean_ln(FULL, (w, 1 - w)) for w in grid])]
    assert 0.1 < best < 0.9
    assert_allclose(fit_weights(FULL), (best, 1 - best), atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 5), st.integers(0, 10_000))
def test_no_step_lowers_the_likelihood(n: int, K: int, seed: int) -> None:
    log_probs = random_log_probs(n, K, seed)
    path = [fit_weights(log_probs, steps) for steps in range(12)]
    assert_allclose(path[0], 1 / K)
    assert_allclose([weights.sum() for weights in path], 1)
    likelihoods = [mean_ln(log_probs, weights) for weights in path]
    assert np.diff(likelihoods).min() >= -1e-12


def test_a_model_that_is_worse_everywhere_gets_nothing() -> None:
    weights = fit_weights(np.stack([FULL[:, 0], FULL[:, 0] - 1], axis=1))
    assert weights[0] > 1 - 1e-6


def test_the_likelihood_of_a_far_away_text_is_not_lost() -> None:
    assert_allclose(fit_weights(FULL - 2000), fit_weights(FULL))


def test_what_is_impossible_to_all_does_not_count_and_to_one_does() -> None:
    impossible = np.full((3, 2), -np.inf)
    assert_array_equal(fit_weights(np.concatenate([impossible, FULL])), fit_weights(FULL))
    one_sided = np.array([[-np.inf, -1.0]])
    assert fit_weights(np.concatenate([one_sided, FULL]))[1] > fit_weights(FULL)[1]


def test_what_no_weights_can_be_fitted_to_is_refused() -> None:
    for wrong in (FULL[:, 0], FULL[None], FULL[:, :0]):
        with pytest.raises(ShapeError, match=r"must be \(n, K\)"):
            fit_weights(wrong)
    for nothing in (FULL[:0], np.full((2, 2), -np.inf)):
        with pytest.raises(TextError, match="no token"):
            fit_weights(nothing)


def saved(path: Path) -> TextModel:
    """A nested mixture of models of every kind, in a file."""
    like = text_model()
    size = len(like.vocabulary)
    counted = NgramModel.train(ids_of_length(200, size), size, 3)
    inner = Mixture(
        [counted, small_lm(size, cell="gru", adaptive=(2, 5), ranks=ids_of_length(size, size))], (0.1, 0.9)
    )
    mixed = TextModel(Mixture([inner, like.model], (1 / 3, 2 / 3)), like.tokenizer, like.vocabulary, {"a": 1})
    save_model(path, mixed)
    return mixed


def test_a_file_brings_back_the_same_mixture(tmp_path: Path) -> None:
    path = tmp_path / "mix.safetensors"
    mixed = saved(path)
    again = load(path)
    assert again.info == mixed.info
    assert isinstance(again.model, Mixture)
    assert again.model.weights == (1 / 3, 2 / 3)
    ids = ids_of_length(20, len(mixed.vocabulary))[None]
    assert_array_equal(
        again.model.target_log_probs(ids, again.model.start())[0],
        mixed.model.target_log_probs(ids, mixed.model.start())[0],
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, model: model["weights"].pop(),
        lambda arrays, model: model.pop("members"),
        lambda arrays, model: model["members"][1].update(kind="crystal ball"),
        lambda arrays, model: arrays.pop("members.1.output.W"),
    ],
    ids=["a weight short", "no members", "of an unknown kind", "an array short"],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "mix.safetensors"
    saved(path)
    arrays, about = read_arrays(path)
    change(arrays, about["model"])
    write_arrays(path, arrays, about)
    with pytest.raises(ModelFileError, match=r"mix\.safetensors"):
        load(path)
