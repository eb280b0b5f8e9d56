"""Tests that TimeRNN, TimeLSTM and TimeGRU have in common."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ShapeError
from elman.gradcheck import check_gradients
from support.recurrent import KINDS, Kind

D, H = 3, 4
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
sizes = st.integers(1, 5)


def close(actual: Any, expected: Any, rtol: float = 1e-10) -> None:
    assert_allclose(actual, expected, rtol=rtol, atol=rtol)


@every_kind
@settings(derandomize=True, deadline=None, max_examples=15, database=None)
@given(N=sizes, T=sizes, D=sizes, H=sizes, given_state=st.booleans(), seed=st.integers(0, 99))
def test_equals_the_oracle(kind: Kind, N: int, T: int, D: int, H: int, given_state: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = kind.weights(rng, D, H)
    xs, dhs = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, H))
    states = kind.draw_states(rng, N, H) if given_state else kind.zero_states(N, H)
    layer = kind.Time(*weights, stateful=True)
    if given_state:
        layer.set_state(*states)

    hs, last = kind.forward(xs, weights, *states)
    close(layer.forward(xs), hs)
    for name, state in zip(kind.states, last, strict=True):
        close(getattr(layer, name), state)

    dxs, grads, dstates = oracle.backward_through_time(kind.Step, weights, xs, dhs, *states)
    close(layer.backward(dhs), dxs)
    for ours, theirs in zip(layer.grads, grads, strict=True):
        close(ours, theirs)
    for ours, theirs in zip(kind.carried(layer, "d"), dstates, strict=True):
        close(ours, theirs)


@every_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_has_the_dtype_of_the_weights(kind: Kind, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    layer = kind.Time(*kind.weights(rng, D, H, dtype), stateful=True)
    for _ in range(2):
        hs = layer.forward(rng.standard_normal((2, 3, D)))  # float64 comes in
        dxs = layer.backward(rng.standard_normal((2, 3, H)))
        kept = [*kind.carried(layer), *kind.carried(layer, "d")]
        assert {a.dtype for a in (hs, dxs, *layer.grads, *kept)} == {np.dtype(dtype)}


@every_kind
@pytest.mark.parametrize("stateful", [True, False])
@pytest.mark.parametrize("T", [1, 2, 5])
def test_gradients_of_the_second_block_agree_with_differences(kind: Kind, T: int, stateful: bool) -> None:
    rng = np.random.default_rng(T)
    weights = kind.weights(rng, D, H)
    layer = kind.Time(*weights, stateful=stateful)
    report = check_gradients(layer, rng.standard_normal((2, T, D)), before=rng.standard_normal((2, T, D)))
    names = [f"params[{k}]" for k in range(len(weights))] + ["input"]
    if stateful:
        names += [f"incoming {name}" for name in kind.states]
    assert [row.name for row in report.rows] == names
    assert report.passed, report


@every_kind
def test_gradients_of_projected_input_agree_with_differences(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer = kind.Time(None, *kind.weights(rng, D, H)[1:], stateful=True)
    xs, before = rng.standard_normal((2, 2, 3, kind.gates * H))
    report = check_gradients(layer, xs, before=before)
    assert len(report.rows) == len(layer.params) + 1 + len(kind.states)
    assert report.passed, report


@every_kind
def test_projected_input_equals_one_hot_times_wx(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    V = 6
    Wx, *rest = kind.weights(rng, V, H)
    ids, dhs = rng.integers(0, V, (2, 5)), rng.standard_normal((2, 5, H))
    whole, projected = kind.Time(Wx, *rest), kind.Time(None, *rest)

    close(projected.forward(Wx[ids]), whole.forward(oracle.one_hot(ids, V)))
    d_projected = projected.backward(dhs)
    whole.backward(dhs)
    for ours, theirs in zip(projected.grads, whole.grads[1:], strict=True):
        close(ours, theirs)
    close(oracle.embedding_backward(ids, d_projected, Wx), whole.grads[0])


@every_kind
def test_one_step_cell_equals_a_block_of_one_step(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    weights, N = kind.weights(rng, D, H), 3
    cell, layer = kind.Cell(*weights), kind.Time(*weights, stateful=True)
    x, states = rng.standard_normal((N, D)), kind.draw_states(rng, N, H)
    dh, *zeros = rng.standard_normal((N, H)), *kind.zero_states(N, H)[1:]

    layer.set_state(*states)
    layer.forward(x[:, None])
    out = cell.forward(x, *states)
    for ours, theirs in zip(out if len(states) == 2 else [out], kind.carried(layer), strict=True):
        close(ours, theirs)

    dx = layer.backward(dh[:, None])
    dx_cell, *dstates = cell.backward(dh, *zeros)
    close(dx_cell, dx[:, 0])
    for ours, theirs in zip([*dstates, *cell.grads], [*kind.carried(layer, "d"), *layer.grads], strict=True):
        close(ours, theirs)


@every_kind
def test_cell_gradients_agree_with_differences(kind: Kind) -> None:
    """The loss touches every output of the cell: h, and the c of an LSTM."""
    rng = np.random.default_rng(0)
    weights, x, states = kind.weights(rng, D, H), rng.standard_normal((2, D)), kind.draw_states(rng, 2, H)
    cell = kind.Cell(*weights)
    douts = rng.standard_normal((len(states), 2, H))

    def loss() -> float:
        out = cell.forward(x, *states)
        outs = out if len(states) == 2 else [out]
        return float(sum((a * b).sum() for a, b in zip(outs, douts, strict=True)))

    loss()
    backward = cell.backward(*douts)
    for value, gradient in zip([*weights, x, *states], [*cell.grads, *backward], strict=True):
        for index in np.ndindex(*value.shape):
            kept = value[index]
            value[index] = kept + 1e-5
            above = loss()
            value[index] = kept - 1e-5
            below = loss()
            value[index] = kept
            assert_allclose(gradient[index], (above - below) / 2e-5, rtol=1e-6, atol=1e-8)


@every_kind
def test_backward_twice_gives_the_same_gradients(kind: Kind) -> None:
    """Gradients are written, not added, and backward spoils nothing that forward kept."""
    rng = np.random.default_rng(0)
    layer = kind.Time(*kind.weights(rng, D, H), stateful=True)
    layer.forward(rng.standard_normal((2, 3, D)))
    dhs = rng.standard_normal((2, 3, H))
    first = [layer.backward(dhs).copy(), *(g.copy() for g in layer.grads)]
    for one, other in zip(first, [layer.backward(dhs), *layer.grads], strict=True):
        assert_array_equal(one, other)


@every_kind
def test_sequences_do_not_see_each_other(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer, xs = kind.Time(*kind.weights(rng, D, H)), rng.standard_normal((3, 4, D))
    together = layer.forward(xs).copy()
    for n in range(3):
        close(layer.forward(xs[n : n + 1])[0], together[n])


@every_kind
def test_layout_of_the_input_does_not_matter(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer, xs, dhs = (
        kind.Time(*kind.weights(rng, D, H)),
        rng.standard_normal((2, 5, D)),
        rng.standard_normal((2, 5, H)),
    )

    def run(xs: Any, dhs: Any) -> list[Any]:
        return [layer.forward(xs).copy(), layer.backward(dhs).copy(), *(g.copy() for g in layer.grads)]

    def time_major(a: Any) -> Any:
        return np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1)

    def every_other(a: Any) -> Any:
        return np.repeat(a, 2, axis=2)[:, :, ::2]

    expected = run(xs, dhs)
    for layout in (time_major, every_other, np.asfortranarray):
        for ours, theirs in zip(run(layout(xs), layout(dhs)), expected, strict=True):
            assert_array_equal(ours, theirs)


@every_kind
def test_inputs_are_left_as_they_were(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    weights = kind.weights(rng, D, H)
    layer = kind.Time(*weights, stateful=True)
    arrays = [rng.standard_normal((2, 3, D)), rng.standard_normal((2, 3, H)), *weights]
    before = [a.copy() for a in arrays]
    layer.forward(arrays[0])
    layer.backward(arrays[1])
    for array, value in zip(arrays, before, strict=True):
        assert_array_equal(array, value)


@every_kind
@pytest.mark.parametrize("shape", [(2, 3, D + 1), (2, D), (2, 3, D, 1)], ids=str)
def test_input_of_a_wrong_shape_is_an_error(kind: Kind, shape: tuple[int, ...]) -> None:
    layer = kind.Time(*kind.weights(np.random.default_rng(0), D, H))
    with pytest.raises(ShapeError) as error:
        layer.forward(np.zeros(shape))
    assert f"(N, T, {D})" in str(error.value)
    assert str(shape) in str(error.value)


@every_kind
@pytest.mark.parametrize("shape", [(2, 3, 1), (2, 5, H), (1, 3, H), (2, H)], ids=str)
def test_gradient_of_a_wrong_shape_is_an_error(kind: Kind, shape: tuple[int, ...]) -> None:
    """Without the check (2, 3, 1) and (1, 3, H) would be broadcast, and (2, 5, H) cut short, in silence."""
    layer = kind.Time(*kind.weights(np.random.default_rng(0), D, H))
    layer.forward(np.zeros((2, 3, D)))
    with pytest.raises(ShapeError) as error:
        layer.backward(np.zeros(shape))
    assert str((2, 3, H)) in str(error.value)
    assert str(shape) in str(error.value)


@every_kind
@pytest.mark.parametrize("form", ["Cell", "Time"])
def test_weights_of_a_wrong_shape_are_an_error(kind: Kind, form: str) -> None:
    weights = kind.weights(np.random.default_rng(0), D, H)
    for k, weight in enumerate(weights):
        wrong = [*weights]
        wrong[k] = np.zeros((*weight.shape[:-1], weight.shape[-1] + 1))
        with pytest.raises(ShapeError) as error:
            getattr(kind, form)(*wrong)
        assert str(wrong[k].shape) in str(error.value)
