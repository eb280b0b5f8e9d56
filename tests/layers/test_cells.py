"""Tests that the cells besides RNN, LSTM and GRU have in common."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.gradcheck import check_gradients
from elman.layers import diagonal
from support.cells import CELLS, Cell

D, H = 3, 4
every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)


def close(actual: Any, expected: Any, rtol: float = 1e-10) -> None:
    assert_allclose(actual, expected, rtol=rtol, atol=rtol)


@every_cell
@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize("width", [D, H])
def test_equals_the_oracle_block_after_block(cell: Cell, T: int, width: int) -> None:
    rng = np.random.default_rng(T)
    weights = cell.weights(rng, width, H)
    xs = rng.standard_normal((2, 2 * T, width))
    layer = cell.Time(**weights, stateful=True)
    expected = cell.oracle(xs, **weights)
    close(layer.forward(xs[:, :T]), expected[:, :T])
    close(layer.forward(xs[:, T:]), expected[:, T:])
    close(layer.h, expected[:, -1])


@every_cell
@pytest.mark.parametrize("stateful", [True, False])
@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize("width", [D, H])
def test_gradients_of_the_second_block_agree_with_differences(
    cell: Cell, T: int, width: int, stateful: bool
) -> None:
    rng = np.random.default_rng(T)
    layer = cell.Time(**cell.weights(rng, width, H), stateful=stateful)
    xs, before = rng.standard_normal((2, 2, T, width))
    report = check_gradients(layer, xs, before=before)
    assert len(report.rows) == len(layer.params) + 1 + stateful * len(layer.states)
    assert report.passed, report


@every_cell
def test_a_one_hot_input_is_a_row_of_wx(cell: Cell) -> None:
    if not cell.takes_one_hot:
        pytest.skip("the cell needs word vectors")
    rng, V = np.random.default_rng(0), 6
    weights = cell.Time.plan(0, H)
    drawn = {name: rng.standard_normal(weight.shape) for name, weight in weights.items()}
    table = rng.standard_normal((V, cell.Time.gates_of(0, H) * H))
    ids = rng.integers(0, V, (2, 5))
    layer = cell.Time(None, **drawn, stateful=True)
    close(layer.forward(table[ids]), cell.oracle(oracle.one_hot(ids, V), Wx=table, **drawn))


@every_cell
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_has_the_dtype_of_the_weights(cell: Cell, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    layer = cell.Time(**cell.weights(rng, D, H, dtype), stateful=True)
    for _ in range(2):
        hs = layer.forward(rng.standard_normal((2, 3, D)))  # float64 comes in
        dxs = layer.backward(rng.standard_normal((2, 3, H)))
        kept = [getattr(layer, prefix + name) for prefix in ("", "d") for name in layer.states]
        assert {a.dtype for a in (hs, dxs, *layer.grads, *kept)} == {np.dtype(dtype)}


@every_cell
def test_steps_can_be_done_in_spans(cell: Cell) -> None:
    rng = np.random.default_rng(0)
    weights = cell.weights(rng, D, H)
    xs, dhs = rng.standard_normal((2, 7, D)), rng.standard_normal((2, 7, H))
    whole, cut = (cell.Time(**weights, stateful=True) for _ in range(2))
    hs, dxs = whole.forward(xs), whole.backward(dhs)

    in_spans = cut.begin(xs)
    for span in ((0, 3), (3, 4), (4, 7)):
        cut.forward_steps(*span)
    cut.end()
    d_in_spans = cut.begin_backward(dhs)
    for span in ((4, 7), (3, 4), (0, 3)):
        cut.backward_steps(*span)
    cut.end_backward()
    for write in cut.weight_gradients():
        write()
    close(in_spans, hs)
    close(d_in_spans, dxs)
    for ours, theirs in zip(cut.grads, whole.grads, strict=True):
        close(ours, theirs)


@every_cell
def test_single_precision_agrees_with_double(cell: Cell) -> None:
    rng = np.random.default_rng(0)
    weights = cell.weights(rng, 8, 16)
    xs, dhs = rng.standard_normal((3, 6, 8)), rng.standard_normal((3, 6, 16))
    exact = cell.Time(**weights)
    single = cell.Time(**{name: weight.astype(np.float32) for name, weight in weights.items()})
    close(single.forward(xs.astype(np.float32)), exact.forward(xs), 1e-5)
    close(single.backward(dhs.astype(np.float32)), exact.backward(dhs), 1e-4)
    for ours, theirs in zip(single.grads, exact.grads, strict=True):
        close(ours, theirs, 1e-4)


@every_cell
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [D, H])
def test_saturated_gates_leave_everything_finite(cell: Cell, width: int, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    weights = cell.weights(rng, width, H, dtype)
    for bias in (-300, 0, 300):
        layer = cell.Time(**{**weights, "b": weights["b"] + dtype(bias)}, stateful=True)
        for scale in (1, 1000):
            xs, dhs = rng.standard_normal((2, 2, 5, width)), rng.standard_normal((2, 2, 5, H))
            for block in range(2):
                results = [layer.forward(scale * xs[block].astype(dtype)), layer.backward(dhs[block])]
                assert all(np.isfinite(array).all() for array in (*results, *layer.grads))


@every_cell
def test_a_long_block_is_cut_into_spans(monkeypatch: pytest.MonkeyPatch, cell: Cell) -> None:
    rng = np.random.default_rng(0)
    weights = cell.weights(rng, D, H)
    xs, dhs = rng.standard_normal((2, 7, D)), rng.standard_normal((2, 7, H))
    whole, cut = (cell.Time(**weights, stateful=True) for _ in range(2))
    hs, dxs = whole.forward(xs), whole.backward(dhs)
    monkeypatch.setattr(diagonal, "SPAN", 3 * 2 * H)  # three steps
    close(cut.forward(xs), hs)
    close(cut.backward(dhs), dxs)
    for ours, theirs in zip(cut.grads, whole.grads, strict=True):
        close(ours, theirs)


@every_cell
def test_what_forward_returns_lasts_until_the_next_forward_and_the_state_longer(cell: Cell) -> None:
    rng = np.random.default_rng(0)
    layer = cell.Time(**cell.weights(rng, D, H), stateful=True)
    layer.forward(rng.standard_normal((2, 3, D)))
    states = {name: state.copy() for name, state in layer.carried().items()}
    carried = layer.carried()
    layer.forward(rng.standard_normal((2, 3, D)))
    for name, state in carried.items():
        assert_array_equal(state, states[name])


@every_cell
def test_inside_names_every_gate(cell: Cell) -> None:
    rng = np.random.default_rng(0)
    layer = cell.Time(**cell.weights(rng, D, H), stateful=True)
    layer.forward(rng.standard_normal((2, 3, D)))
    assert tuple(layer.inside) == cell.inside
    assert all(values.shape == (2, 3, H) for values in layer.inside.values())
