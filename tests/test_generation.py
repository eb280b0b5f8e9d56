"""Sampling: which tokens may be drawn, how often, and that a seed repeats it."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError
from elman.generation import Sampler, draw_each, generate
from elman.models.ngram.model import NgramModel
from elman.training.optimizers import Adam
from elman.training.trainer import RnnlmTrainer
from support.tiny import ids_of_length, small_lm

PROBS = np.array([0.1, 0.4, 0.05, 0.3, 0.15])
LOG_PROBS = np.log(PROBS)


def support(sampler: Sampler, log_probs: Any = LOG_PROBS) -> list[int]:
    """The ids that can be drawn."""
    return np.flatnonzero(sampler.distribution(log_probs)).tolist()


# Which distribution


def test_by_default_it_is_the_models() -> None:
    assert_allclose(Sampler().distribution(LOG_PROBS), PROBS, rtol=1e-12)


@pytest.mark.parametrize("temperature", [0.25, 0.5, 2.0, 10.0])
def test_temperature_is_a_power_of_the_probabilities(temperature: float) -> None:
    powers = PROBS ** (1 / temperature)
    assert_allclose(Sampler(temperature).distribution(LOG_PROBS), powers / powers.sum(), rtol=1e-12)


@pytest.mark.parametrize("temperature", [0.0, 1e-300, 5e-324])
def test_without_heat_only_the_best_is_drawn(temperature: float) -> None:
    assert Sampler(temperature).distribution(LOG_PROBS).tolist() == [0, 1, 0, 0, 0]
    assert Sampler(temperature).distribution(LOG_PROBS.astype(np.float32)).tolist() == [0, 1, 0, 0, 0]


def test_greedy_takes_the_first_of_equals() -> None:
    assert support(Sampler(0), np.log([0.2, 0.4, 0.4])) == [1]


@pytest.mark.parametrize(
    ("k", "kept"), [(1, [1]), (2, [1, 3]), (3, [1, 3, 4]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])]
)
def test_top_k_keeps_the_k_most_probable(k: int, kept: list[int]) -> None:
    found = Sampler(top_k=k).distribution(LOG_PROBS)
    assert np.flatnonzero(found).tolist() == kept
    assert_allclose(found[kept], PROBS[kept] / PROBS[kept].sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("p", "kept"),
    [
        (0.01, [1]),
        (0.39, [1]),
        (0.41, [1, 3]),
        (0.69, [1, 3]),
        (0.71, [1, 3, 4]),
        (0.951, [0, 1, 2, 3, 4]),
        (1.0, [0, 1, 2, 3, 4]),
    ],
)
def test_top_p_keeps_the_fewest_that_reach_p(p: float, kept: list[int]) -> None:
    found = Sampler(top_p=p).distribution(LOG_PROBS)
    assert np.flatnonzero(found).tolist() == kept
    assert_allclose(found[kept], PROBS[kept] / PROBS[kept].sum(), rtol=1e-12)


def test_top_p_is_of_what_top_k_and_temperature_left() -> None:
    assert support(Sampler(top_k=2, top_p=0.5)) == [1]  # 0.4 / 0.7 of what is left
    assert support(Sampler(temperature=100.0, top_p=0.5)) == [1, 3, 4]
    assert support(Sampler(temperature=0.2, top_p=0.75)) == [1]


def test_of_equals_those_with_the_smaller_ids_are_kept() -> None:
    uniform = np.full(6, -np.log(6))
    assert support(Sampler(top_k=3), uniform) == [0, 1, 2]
    assert support(Sampler(top_p=0.49), uniform) == [0, 1, 2]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_excluded_tokens_are_never_drawn(temperature: float) -> None:
    sampler = Sampler(temperature, exclude=(1, 4))
    found = sampler.distribution(LOG_PROBS)
    kept = [3] if temperature == 0 else [0, 2, 3]
    assert np.flatnonzero(found).tolist() == kept
    assert_allclose(found[kept], PROBS[kept] / PROBS[kept].sum(), rtol=1e-12)


def test_impossible_tokens_are_never_drawn() -> None:
    with np.errstate(divide="ignore"):
        log_probs = np.log([0.0, 0.5, 0.0, 0.5])
    assert support(Sampler(), log_probs) == [1, 3]
    assert support(Sampler(temperature=1e6, top_p=0.999), log_probs) == [1, 3]
    assert {Sampler().draw(log_probs, rng) for rng in map(np.random.default_rng, range(40))} == {1, 3}


def test_the_distribution_is_new_and_the_log_probs_stay() -> None:
    log_probs = LOG_PROBS.copy()
    for sampler in (Sampler(), Sampler(0), Sampler(0.5, 2, 0.9, (0,))):
        sampler.distribution(log_probs)[...] = 7
        assert_array_equal(log_probs, LOG_PROBS)


@given(
    temperature=st.floats(0.01, 100),
    top_k=st.integers(0, 8),
    top_p=st.floats(0.01, 1),
    weights=st.lists(st.floats(1e-6, 1), min_size=1, max_size=8),
)
def test_it_is_always_a_distribution_that_holds_the_best(
    temperature: float, top_k: int, top_p: float, weights: list[float]
) -> None:
    probs = np.array(weights) / sum(weights)
    found = Sampler(temperature, top_k, top_p).distribution(np.log(probs))
    assert found.sum() == pytest.approx(1)
    assert found.min() >= 0
    assert found[np.argmax(np.log(probs))] > 0
    assert np.count_nonzero(found) <= (top_k or len(probs))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature must be ≥ 0 .*got -0.1"),
        ({"temperature": float("inf")}, "finite, got inf"),
        ({"temperature": float("nan")}, "got nan"),
        ({"top_k": -1}, "top_k must be .*got -1"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"top_p": 1.1}, "got 1.1"),
        ({"top_p": float("nan")}, "got nan"),
        ({"exclude": (3, -1)}, "ids to exclude must be ≥ 0, got -1"),
    ],
)
def test_what_is_out_of_range_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Sampler(**options)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_where_all_is_excluded_there_is_nothing_to_draw(temperature: float) -> None:
    with pytest.raises(ConfigError, match="every token that could come next is excluded"):
        Sampler(temperature, exclude=(0, 1, 2, 3, 4)).distribution(LOG_PROBS)


# How often


@pytest.mark.parametrize(
    "sampler",
    [Sampler(), Sampler(0.5), Sampler(2.0, top_k=3), Sampler(top_p=0.8), Sampler(exclude=(1,))],
    ids=str,
)
def test_tokens_are_drawn_as_often_as_they_are_probable(sampler: Sampler) -> None:
    rng, draws = np.random.default_rng(0), 4000
    counts = np.bincount([sampler.draw(LOG_PROBS, rng) for _ in range(draws)], minlength=5)
    expected = draws * sampler.distribution(LOG_PROBS)
    assert not counts[expected == 0].any()
    possible = expected > 0
    chi_square = float(((counts - expected)[possible] ** 2 / expected[possible]).sum())
    assert chi_square < 18.5  # 99.9 % for 4 degrees of freedom, more for fewer


def test_rounding_never_draws_a_token_of_probability_0() -> None:
    class AlmostOne:
        def random(self) -> float:
            return 1 - 2**-53

    with np.errstate(divide="ignore"):
        log_probs = np.log([0.1] * 10 + [0.0])
    assert Sampler().draw(log_probs, AlmostOne()) == 9  # type: ignore[arg-type]


# Generation


def some_text(seed: int, sampler: Sampler | None = None, length: int = 40) -> list[int]:
    model = small_lm()
    drawn = generate(model, model.start(), sampler or Sampler(), np.random.default_rng(seed), length)
    return list(drawn)


def test_rows_drawn_together_are_those_drawn_alone() -> None:
    rng = np.random.default_rng(0)
    options: list[dict[str, Any]] = [
        {},
        {"temperature": 0},
        {"temperature": 0.5, "top_k": 7},
        {"top_p": 0.8, "exclude": (1, 3)},
        {"temperature": 2.0, "top_k": 300, "top_p": 0.9},
    ]
    for V in (5, 700):
        samplers = [Sampler(**options[k % len(options)]) for k in range(70)]
        scores = np.round(rng.normal(size=(70, V)) * 4).astype(np.float32)  # with equal ones
        alone = [
            sampler.draw(row, np.random.default_rng(seed))
            for seed, (sampler, row) in enumerate(zip(samplers, scores, strict=True))
        ]
        for all_, rows in ((samplers, slice(None)), (samplers[1:2] * 2, [1, 1])):
            rngs = [np.random.default_rng(seed) for seed in np.arange(70)[rows]]
            assert draw_each(all_, scores[rows], rngs) == np.array(alone)[rows].tolist()


def test_a_row_without_a_possible_token_does_not_keep_others_from_theirs() -> None:
    rows, rngs = np.array([[0.0, -np.inf], [0.0, -1.0]]), [np.random.default_rng(0)] * 2
    assert draw_each([Sampler(exclude=(0,)), Sampler(0)], rows, rngs) == [None, 0]


@pytest.mark.parametrize("options", [{"top_k": 40}, {"top_p": 0.99}, {"top_k": 500, "top_p": 0.7}])
def test_a_partial_sort_keeps_what_a_full_one_keeps(options: dict[str, Any]) -> None:
    log_probs = (
        np.round(np.random.default_rng(1).normal(size=3000) * 20) / 10
    )  # with equal ones, widely spread
    probs = np.exp(log_probs - log_probs.max())
    best_first = np.argsort(-probs, kind="stable")
    probs[best_first[options.get("top_k", 3000) :]] = 0
    if "top_p" in options:
        sums = np.cumsum(probs[best_first]) / probs.sum()
        probs[best_first[np.searchsorted(sums, options["top_p"]) + 1 :]] = 0
    assert_array_equal(Sampler(**options).distribution(log_probs), probs / probs.sum())


def test_one_seed_one_text() -> None:
    assert some_text(3) == some_text(3)
    assert some_text(3) != some_text(4)
    assert some_text(3, Sampler(0)) == some_text(4, Sampler(0))


def test_every_token_is_fed_before_the_next_is_drawn() -> None:
    model = small_lm()
    rng, state, expected = np.random.default_rng(5), model.start(), []
    for _ in range(20):
        expected.append(Sampler().draw(model.next_log_probs(state)[0], rng))
        state = model.feed(np.array([[expected[-1]]]), state)
    assert some_text(5, length=20) == expected


def test_a_longer_text_begins_with_the_shorter() -> None:
    assert some_text(1, length=30)[:10] == some_text(1, length=10)
    assert some_text(1, length=0) == []


def test_without_a_length_generation_is_endless() -> None:
    model = small_lm()
    endless = generate(model, model.start(), Sampler(), np.random.default_rng(0))
    assert list(itertools.islice(endless, 100)) == some_text(0, length=100)


def test_generation_continues_a_past_and_leaves_it_unchanged() -> None:
    model = NgramModel.train(np.array([0, 1, 2] * 20), 3, 2)
    state = model.feed(np.array([[0]]), model.start())
    texts = [list(generate(model, state, Sampler(0), np.random.default_rng(0), 5)) for _ in range(2)]
    assert texts == [[1, 2, 0, 1, 2]] * 2


def test_a_model_that_memorised_a_text_generates_it() -> None:
    text = ids_of_length(9)
    ids = np.tile(text, 12)
    model = small_lm(cell="lstm", H=16, D=8)
    RnnlmTrainer(model, Adam(0.03)).fit(ids[:-1], ids[1:], 30, 2, 9)
    state = model.feed(text[None], model.start())
    assert list(generate(model, state, Sampler(0), np.random.default_rng(0), 18)) == [*text, *text]
