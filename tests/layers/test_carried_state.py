"""The states that recurrent layers carry from block to block: h, and for the LSTM also c."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ShapeError
from support.recurrent import KINDS, Kind

D, H = 3, 4
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@every_kind
def test_stateful_reads_two_blocks_as_one(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    weights, xs = kind.weights(rng, D, H), rng.standard_normal((2, 10, D))
    layer = kind.Time(*weights, stateful=True)
    halves = [layer.forward(part).copy() for part in (xs[:, :5], xs[:, 5:])]
    assert_allclose(np.concatenate(halves, axis=1), kind.Time(*weights).forward(xs), atol=1e-12)


@every_kind
def test_gradient_of_a_block_stops_at_its_beginning(kind: Kind) -> None:
    """Truncated BPTT: the second block's gradients are those of a block that starts from a fixed state."""
    rng = np.random.default_rng(0)
    weights, (first, second) = kind.weights(rng, D, H), rng.standard_normal((2, 2, 3, D))
    dhs = rng.standard_normal((2, 3, H))
    layer = kind.Time(*weights, stateful=True)
    layer.forward(first)
    states = kind.carried(layer)
    layer.forward(second)
    layer.backward(dhs)
    _, grads, _ = oracle.backward_through_time(kind.Step, weights, second, dhs, *states)
    for ours, theirs in zip(layer.grads, grads, strict=True):
        assert_allclose(ours, theirs, atol=1e-12)


@every_kind
def test_not_stateful_starts_every_block_from_zeros(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer, xs = kind.Time(*kind.weights(rng, D, H)), rng.standard_normal((2, 3, D))
    first = layer.forward(xs).copy()
    layer.set_state(*kind.draw_states(rng, 2, H))
    assert_array_equal(layer.forward(xs), first)


@every_kind
def test_reset_state_forgets(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer, xs = kind.Time(*kind.weights(rng, D, H), stateful=True), rng.standard_normal((2, 3, D))
    first = layer.forward(xs).copy()
    assert not np.allclose(layer.forward(xs), first)
    layer.reset_state()
    assert kind.carried(layer) == [None] * len(kind.states)
    assert_array_equal(layer.forward(xs), first)


@every_kind
def test_set_state_brings_an_earlier_state_back(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer, xs = kind.Time(*kind.weights(rng, D, H), stateful=True), rng.standard_normal((2, 3, D))
    layer.forward(xs)
    states = kind.carried(layer)
    second = layer.forward(xs).copy()
    layer.set_state(*states)
    assert_array_equal(layer.forward(xs), second)


@every_kind
def test_set_state_copies_what_it_is_given(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer, xs = kind.Time(*kind.weights(rng, D, H), stateful=True), rng.standard_normal((2, 3, D))
    states = kind.draw_states(rng, 2, H)
    layer.set_state(*states)
    first = layer.forward(xs).copy()
    layer.set_state(*states)
    for state in states:
        state[...] = 9
    assert_array_equal(layer.forward(xs), first)


@every_kind
def test_carried_states_and_their_gradients_are_copies(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer = kind.Time(*kind.weights(rng, D, H), stateful=True)
    hs = layer.forward(rng.standard_normal((2, 3, D)))
    layer.backward(rng.standard_normal((2, 3, H)))
    kept = [*kind.carried(layer), *kind.carried(layer, "d")]
    values = [a.copy() for a in kept]
    assert not any(np.shares_memory(hs, a) for a in kept)
    layer.forward(rng.standard_normal((2, 3, D)))
    layer.backward(rng.standard_normal((2, 3, H)))
    for array, value in zip(kept, values, strict=True):
        assert_array_equal(array, value)


@every_kind
def test_output_is_valid_until_the_next_forward(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer = kind.Time(*kind.weights(rng, D, H), stateful=True)
    hs = layer.forward(rng.standard_normal((2, 3, D)))
    value = hs.copy()
    layer.backward(rng.standard_normal((2, 3, H)))
    layer.reset_state()
    assert_array_equal(hs, value)
    layer.forward(rng.standard_normal((2, 3, D)))
    assert not np.array_equal(hs, value)


@every_kind
def test_a_carried_state_of_another_batch_size_is_an_error_with_both_shapes(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer = kind.Time(*kind.weights(rng, D, H), stateful=True)
    layer.forward(rng.standard_normal((2, 3, D)))
    with pytest.raises(ShapeError, match=rf"\(5, {H}\).*got \(2, {H}\).*reset_state"):
        layer.forward(rng.standard_normal((5, 3, D)))
    layer.reset_state()
    assert layer.forward(rng.standard_normal((5, 3, D))).shape == (5, 3, H)


@every_kind
def test_a_block_of_no_steps_gives_no_output(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer = kind.Time(*kind.weights(rng, D, H), stateful=True)
    layer.forward(rng.standard_normal((2, 3, D)))
    state = kind.carried(layer)[0]
    assert layer.forward(np.zeros((2, 0, D))).shape == (2, 0, H)
    assert_array_equal(layer.h, state)
