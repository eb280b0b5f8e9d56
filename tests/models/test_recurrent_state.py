"""The state of a recurrent model is an immutable value."""

import numpy as np
import pytest

from elman.models.recurrent_state import RecurrentState


def draw(N: int = 3, H: int = 2, seed: int = 0) -> RecurrentState:
    rng = np.random.default_rng(seed)
    h, c = rng.standard_normal((2, 2, N, H))
    return RecurrentState(list(h), list(c))


def test_counts_its_sequences() -> None:
    assert draw(N=4).batch_size == 4


def test_cannot_be_written() -> None:
    state = draw()
    for array in (*state.h, *state.c):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    for array in (*state.select([0]).h, *state.join(state).c):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_equal_numbers_are_equal_states() -> None:
    assert draw() == draw()
    assert hash(draw()) == hash(draw())
    assert draw() != draw(seed=1)
    assert draw() != draw(N=2)


def test_h_and_c_are_not_confused() -> None:
    state = draw()
    assert state != RecurrentState(state.c, state.h)
    assert state != RecurrentState(state.h)
    assert state != RecurrentState(state.h[:1], state.c[:1])
    assert state != RecurrentState([*state.h, *state.c])


def test_a_state_does_not_equal_other_objects() -> None:
    assert draw() != 1
    assert (draw() == draw().h) is False


def test_both_zeros_hash_alike() -> None:
    zero, minus_zero = RecurrentState([np.zeros((1, 2))]), RecurrentState([-np.zeros((1, 2))])
    assert zero == minus_zero
    assert hash(zero) == hash(minus_zero)


def test_selects_sequences_in_any_order_and_number() -> None:
    state = draw()
    chosen = state.select([2, 0, 0])
    for whole, part in zip((*state.h, *state.c), (*chosen.h, *chosen.c), strict=True):
        np.testing.assert_array_equal(part, whole[[2, 0, 0]])
    assert state.select(np.array([0, 1, 2])) == state
    assert state.select([]).batch_size == 0


def test_joins_sequences_in_order() -> None:
    first, second, third = (draw(seed=seed) for seed in range(3))
    joined = first.join(second, third)
    assert joined.batch_size == 9
    assert [joined.select(range(k, k + 3)) for k in (0, 3, 6)] == [first, second, third]


def test_states_of_different_depth_do_not_join() -> None:
    state = draw()
    with pytest.raises(ValueError, match="zip"):
        state.join(RecurrentState(state.h[:1], state.c[:1]))
