"""Perplexity: the chain rule, and every definition behind the number."""

import math
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.errors import TextError
from elman.evaluation import perplexity
from elman.evaluation.perplexity import Evaluation, begin, evaluate, perplexity_of
from elman.models.ngram.model import NgramModel
from elman.models.rooms_truth import RoomsTruth
from elman.text.rooms import World
from support.tiny import ids_of_length, small_lm

V = 9


class Fixed:
    """Gives the same distribution after every past."""

    def __init__(self, probs: Any) -> None:
        self.log_probs = np.log(np.asarray(probs, float))
        self.vocab_size = len(self.log_probs)

    def start(self, batch_size: int = 1) -> int:
        return batch_size

    def feed(self, ids: Any, state: int) -> int:
        return state

    def next_log_probs(self, state: int) -> Any:
        return np.tile(self.log_probs, (state, 1))

    def target_log_probs(self, ids: Any, state: int) -> tuple[Any, int]:
        return self.log_probs[ids], state


# The textbook's definitions


@pytest.mark.parametrize("V", [2, 10, 10_000])
def test_the_perplexity_of_a_uniform_model_is_the_number_of_words(V: int) -> None:
    found = evaluate(Fixed(np.full(V, 1 / V)), ids_of_length(50, V))
    assert found.perplexity == pytest.approx(V)


@pytest.mark.parametrize(("probability", "expected"), [(0.8, 1.25), (0.2, 5.0)])
def test_the_examples_of_the_textbook(probability: float, expected: float) -> None:
    right = Fixed([probability, 1 - probability])
    assert evaluate(right, np.zeros(7, int)).perplexity == pytest.approx(expected)


def test_it_is_the_chain_rule() -> None:
    model, ids = small_lm(V), ids_of_length(23, V)
    state, log_prob = model.start(), 0.0
    for id_ in ids:
        log_prob += float(model.next_log_probs(state)[0, id_])
        state = model.feed(np.array([[id_]]), state)
    found = evaluate(model, ids)
    assert found.tokens == 23
    assert found.nll_nats == pytest.approx(-log_prob, rel=1e-12)
    assert found.perplexity == pytest.approx(math.exp(-log_prob / 23), rel=1e-12)


def test_the_perplexity_of_a_certain_text_is_1() -> None:
    assert evaluate(Fixed([1.0, 1e-300]), np.zeros(9, int)).perplexity == 1


def test_the_perplexity_of_an_impossible_text_is_infinite() -> None:
    world = World("en")
    truth = RoomsTruth(world, world.vocabulary)
    eos = world.vocabulary.index("<eos>")
    found = evaluate(truth, np.array([eos, eos]), eos=eos)
    assert found.perplexity == found.perplexity_known == math.inf
    assert found.bits_per(5) == math.inf


@pytest.mark.parametrize(
    ("nll", "expected"), [(0.0, 1.0), (1.0, math.e), (700.0, math.exp(700)), (710.0, math.inf)]
)
def test_a_perplexity_beyond_all_floats_is_infinite(nll: float, expected: float) -> None:
    assert perplexity_of(nll) == expected
    assert Evaluation(2, 2 * nll).perplexity == expected
    assert perplexity_of(math.inf) == math.inf
    assert math.isnan(perplexity_of(math.nan))


def test_bits_are_counted_per_unit_of_the_text() -> None:
    assert Evaluation(tokens=3, nll_nats=math.log(2) * 40).bits_per(10) == pytest.approx(4)


# Where a text begins


def test_the_first_token_is_predicted_from_the_end_of_a_line() -> None:
    model, ids = small_lm(V), ids_of_length(12, V)
    after_eos = model.feed(np.array([[4]]), model.start())
    expected, _ = model.target_log_probs(ids[None], after_eos)
    assert evaluate(model, ids, eos=4).nll_nats == pytest.approx(-expected.sum(), rel=1e-12)
    assert evaluate(model, ids).nll_nats != evaluate(model, ids, eos=4).nll_nats
    assert begin(model, 4) == after_eos
    assert begin(model, 4, batch_size=3).batch_size == 3
    assert begin(model, None, batch_size=2) == model.start(2)


def test_the_state_is_carried_through_the_whole_text(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = small_lm(V), ids_of_length(70, V)
    whole = evaluate(model, ids, eos=1)
    monkeypatch.setattr(perplexity, "BLOCK", 8)
    assert evaluate(model, ids, eos=1).nll_nats == pytest.approx(whole.nll_nats, rel=1e-12)


# Unknown words


def test_with_an_unk_token_unknown_words_are_scored_as_it() -> None:
    model = Fixed([0.5, 0.25, 0.125, 0.125])
    found = evaluate(model, np.array([0, 2, 1, 2, 0]), unk=2)
    assert (found.tokens, found.unknown, found.unknown_scored) == (5, 2, True)
    assert found.unknown_nll_nats == pytest.approx(2 * math.log(8))
    assert found.perplexity == pytest.approx((2 * 2 * 4 * 8 * 8) ** (1 / 5))
    assert found.perplexity_known == pytest.approx((2 * 2 * 4) ** (1 / 3))


def test_unk_is_an_ordinary_token_unless_it_is_given() -> None:
    found = evaluate(Fixed([0.5, 0.25, 0.25]), np.array([0, 2, 1]))
    assert found.unknown == 0
    assert found.perplexity == found.perplexity_known == pytest.approx((2 * 4 * 4) ** (1 / 3))


def test_tokens_outside_a_closed_vocabulary_have_probability_0_and_are_not_read() -> None:
    model, ids = small_lm(V), ids_of_length(20, V)
    with_holes = np.insert(ids, [0, 5, 5, 20], -1)
    found, without = evaluate(model, with_holes, eos=1), evaluate(model, ids, eos=1)
    assert (found.tokens, found.unknown, found.unknown_scored) == (24, 4, False)
    assert found.perplexity == math.inf
    assert found.bits_per(100) == math.inf
    assert found.perplexity_known == without.perplexity
    assert found.nll_nats == without.nll_nats


def test_a_text_of_unknown_words_has_no_perplexity_of_known_tokens() -> None:
    found = evaluate(small_lm(V), np.array([-1, -1]))
    assert (found.tokens, found.unknown) == (2, 2)
    assert found.perplexity == math.inf
    assert math.isnan(found.perplexity_known)
    assert math.isnan(evaluate(Fixed([0.5, 0.5]), np.array([1, 1]), unk=1).perplexity_known)


# Sequences


@pytest.mark.parametrize("batch_size", [2, 3, 7, 50])
def test_sequences_count_every_token_once(batch_size: int) -> None:
    probs = np.arange(1, V + 1) / sum(range(1, V + 1))
    ids = ids_of_length(101, V)
    one, many = (evaluate(Fixed(probs), ids, unk=3, batch_size=k) for k in (1, batch_size))
    assert (many.tokens, many.unknown) == (one.tokens, one.unknown)
    assert many.nll_nats == pytest.approx(one.nll_nats, rel=1e-12)
    assert many.unknown_nll_nats == pytest.approx(one.unknown_nll_nats, rel=1e-12)


def test_sequences_are_close_to_one_sequence() -> None:
    world = World("en")
    number = {token: id_ for id_, token in enumerate(world.vocabulary)}
    tokens = islice(world.tokens(np.random.default_rng(0)), 6000)
    ids = np.array([number[token] for token, _ in tokens])
    model = NgramModel.train(ids[:3000], len(number), 3)
    one, *several = (
        evaluate(model, ids[3000:], eos=number["<eos>"], batch_size=sequences).perplexity
        for sequences in (1, 2, 5, 10)
    )
    assert_allclose(several, one, rtol=0.03)
    assert max(several) > one


def test_each_sequence_begins_from_the_initial_state_and_the_rest_is_read() -> None:
    model, ids = small_lm(V), ids_of_length(11, V)
    pieces = [ids[:3], ids[3:6], ids[6:9], ids[9:]]
    expected = sum(evaluate(model, piece, eos=2).nll_nats for piece in pieces)
    assert evaluate(model, ids, eos=2, batch_size=3).nll_nats == pytest.approx(expected, rel=1e-12)


# What is read


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int32])
def test_a_memory_mapped_text_is_read(tmp_path: Path, dtype: Any) -> None:
    model, ids = small_lm(V), ids_of_length(30, V)
    ids.astype(dtype).tofile(tmp_path / "ids")
    mapped = np.memmap(tmp_path / "ids", dtype, mode="r")
    assert evaluate(model, mapped, eos=1) == evaluate(model, ids, eos=1)


def test_one_token_is_a_text() -> None:
    model = small_lm(V)
    found = evaluate(model, np.array([3]), eos=1, batch_size=20)
    expected = model.next_log_probs(begin(model, 1))[0, 3]
    assert found.tokens == 1
    assert found.perplexity == pytest.approx(math.exp(-expected))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_an_empty_text_is_refused(dtype: Any) -> None:
    with pytest.raises(TextError, match="no token to evaluate"):
        evaluate(small_lm(V), np.array([], dtype))


def test_evaluating_does_not_change_the_model() -> None:
    model, ids = small_lm(V, dropout=0.5), ids_of_length(30, V)
    model.forward(ids.reshape(3, 10), ids.reshape(3, 10))
    carried, masks = model.carried_state(), model.dropout_rng.bit_generator.state
    assert evaluate(model, ids) == evaluate(model, ids)
    assert model.carried_state() == carried
    assert model.dropout_rng.bit_generator.state == masks
