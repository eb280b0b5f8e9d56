"""Tests that the cells that are whole blocks have in common."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ShapeError
from elman.gradcheck import check_gradients
from elman.layers import rwkv_block
from support.blocks import BLOCKS, BlockCell, Stack

D, LAYERS = 8, 2
every_cell = pytest.mark.parametrize("cell", BLOCKS.values(), ids=BLOCKS)


def close(actual: Any, expected: Any, rtol: float = 1e-9) -> None:
    assert_allclose(actual, expected, rtol=rtol, atol=rtol)


@every_cell
@pytest.mark.parametrize("T", [1, 2, 5, 19])
def test_equals_the_oracle_block_after_block(cell: BlockCell, T: int) -> None:
    rng = np.random.default_rng(T)
    weights = cell.weights(rng, D, LAYERS)
    xs = rng.standard_normal((2, 2 * T, D))
    stack, expected = Stack.of(cell, weights), cell.oracle(xs, weights)
    close(stack.forward(xs[:, :T]), expected[:, :T])
    close(stack.forward(xs[:, T:]), expected[:, T:])
    close(stack.layers[-1].h, expected[:, -1])


@every_cell
@pytest.mark.parametrize(("T", "stateful"), [(1, True), (2, False), (5, True)])
def test_gradients_of_the_second_block_agree_with_differences(
    cell: BlockCell, T: int, stateful: bool
) -> None:
    rng = np.random.default_rng(T)
    stack = Stack.of(cell, cell.weights(rng, D, LAYERS), stateful)
    xs, before = rng.standard_normal((2, 2, T, D))
    report = check_gradients(stack, xs, before=before, max_entries=5)
    assert len(report.rows) == len(stack.params) + 1 + stateful * LAYERS * len(cell.states)
    assert report.passed, report


@every_cell
def test_gradients_across_chunks_agree_with_differences(cell: BlockCell) -> None:
    rng = np.random.default_rng(0)
    stack = Stack.of(cell, cell.weights(rng, D, LAYERS))
    xs, before = rng.standard_normal((2, 1, 35, D))  # more than two chunks of 16
    assert check_gradients(stack, xs, before=before, max_entries=3).passed


@every_cell
def test_three_blocks_share_the_first_values(cell: BlockCell) -> None:
    rng = np.random.default_rng(1)
    stack = Stack.of(cell, cell.weights(rng, D, 3))
    xs, before = rng.standard_normal((2, 1, 2, D))
    assert check_gradients(stack, xs, before=before, max_entries=4).passed


@every_cell
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_has_the_dtype_of_the_weights(cell: BlockCell, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    stack = Stack.of(cell, cell.weights(rng, D, LAYERS, dtype))
    for _ in range(2):
        hs = stack.forward(rng.standard_normal((2, 3, D)))  # float64 comes in
        dxs = stack.backward(rng.standard_normal((2, 3, D)))
        kept = [
            getattr(layer, prefix + name)
            for layer in stack.layers
            for prefix in ("", "d")
            for name in cell.states
        ]
        assert {a.dtype for a in (hs, dxs, *stack.grads, *kept)} == {np.dtype(dtype)}


@every_cell
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_can_be_done_in_spans(cell: BlockCell, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    weights = cell.weights(rng, D, LAYERS, dtype)
    xs, dhs = rng.standard_normal((2, 2, 37, D)).astype(dtype)
    whole, cut = Stack.of(cell, weights), Stack.of(cell, weights)
    hs, dxs = whole.forward(xs), whole.backward(dhs)
    spans = ((0, 3), (3, 20), (20, 37))
    rtol = 1e-10 if dtype == np.float64 else 1e-5

    for layer in cut.layers:
        xs = layer.begin(xs)
    for span in spans:
        for layer in cut.layers:
            layer.forward_steps(*span)
    for layer in cut.layers:
        layer.end()
    for layer in reversed(cut.layers):
        dhs = layer.begin_backward(dhs)
    for span in reversed(spans):
        for layer in reversed(cut.layers):
            layer.backward_steps(*span)
    for layer in cut.layers:
        layer.end_backward()
        assert layer.weight_gradients() == []
    close(xs, hs, rtol)
    close(dhs, dxs, 10 * rtol)
    for ours, theirs in zip(cut.grads, whole.grads, strict=True):
        close(ours, theirs, 100 * rtol)


@every_cell
def test_single_precision_agrees_with_double(cell: BlockCell) -> None:
    rng = np.random.default_rng(0)
    weights = cell.weights(rng, 8, LAYERS)
    xs, dhs = rng.standard_normal((2, 3, 35, 8))
    exact = Stack.of(cell, weights)
    single = Stack.of(cell, [{name: w.astype(np.float32) for name, w in each.items()} for each in weights])
    close(single.forward(xs.astype(np.float32)), exact.forward(xs), 2e-4)
    close(single.backward(dhs.astype(np.float32)), exact.backward(dhs), 2e-3)
    for ours, theirs in zip(single.grads, exact.grads, strict=True):
        scale = abs(theirs).max() + 1
        close(ours / scale, theirs / scale, 1e-3)


@every_cell
def test_a_long_block_is_cut_into_spans(monkeypatch: pytest.MonkeyPatch, cell: BlockCell) -> None:
    rng = np.random.default_rng(0)
    weights = cell.weights(rng, D, LAYERS)
    xs, dhs = rng.standard_normal((2, 2, 20, D))
    whole, cut = Stack.of(cell, weights), Stack.of(cell, weights)
    hs, dxs = whole.forward(xs), whole.backward(dhs)
    monkeypatch.setattr(rwkv_block, "ROWS", 3 * 2)
    close(cut.forward(xs), hs)
    close(cut.backward(dhs), dxs)
    for ours, theirs in zip(cut.grads, whole.grads, strict=True):
        close(ours, theirs)


@every_cell
def test_a_second_backward_pass_gives_the_same(cell: BlockCell) -> None:
    rng = np.random.default_rng(0)
    stack = Stack.of(cell, cell.weights(rng, D, LAYERS))
    xs, dhs = rng.standard_normal((2, 2, 5, D))
    stack.forward(xs)
    first = [stack.backward(dhs).copy(), *(grad.copy() for grad in stack.grads)]
    for again, before in zip([stack.backward(dhs), *stack.grads], first, strict=True):
        assert_array_equal(again, before)


@every_cell
def test_what_forward_returns_lasts_until_the_next_forward_and_the_state_longer(cell: BlockCell) -> None:
    rng = np.random.default_rng(0)
    layer = cell.Time(stateful=True, **cell.weights(rng, D, 1)[0])
    layer.forward(rng.standard_normal((2, 3, D)))
    carried = layer.carried()
    states = {name: state.copy() for name, state in carried.items()}
    assert tuple(states) == cell.states
    assert {name: state.shape for name, state in states.items()} == {
        name: (2, width) for name, width in layer.state_widths.items()
    }
    layer.forward(rng.standard_normal((2, 3, D)))
    for name, state in carried.items():
        assert_array_equal(state, states[name])


@every_cell
def test_inside_names_every_part(cell: BlockCell) -> None:
    rng = np.random.default_rng(0)
    layer = cell.Time(**cell.weights(rng, D, 1)[0])
    layer.forward(rng.standard_normal((2, 3, D)))
    assert tuple(layer.inside) == layer.names_inside() == cell.inside
    assert all(values.shape == (2, 3, D) for values in layer.inside.values())


@every_cell
def test_weights_of_another_shape_are_refused_by_name(cell: BlockCell) -> None:
    weights = cell.weights(np.random.default_rng(0), D, 1)[0]
    with pytest.raises(ShapeError, match=r"ffn_Wv must be \(5, 8\), got \(5, 3\)"):
        cell.Time(**{**weights, "ffn_Wv": weights["ffn_Wv"][:, :3]})
    with pytest.raises(ShapeError, match="the weight ln1_gain is missing"):
        cell.Time(**{name: w for name, w in weights.items() if name != "ln1_gain"})
    with pytest.raises(ShapeError, match="the weight Wv is missing"):
        cell.Time(**{name: w for name, w in weights.items() if name != "Wv"})
    with pytest.raises(ShapeError, match="there is no weight Wx in this block"):
        cell.Time(**weights, Wx=weights["Wv"])


@every_cell
def test_the_gradient_of_the_output_and_of_the_state_can_be_read(cell: BlockCell) -> None:
    rng = np.random.default_rng(0)
    layer = cell.Time(**cell.weights(rng, D, 1)[0])
    hs = layer.forward(rng.standard_normal((2, 3, D)))
    dhs = rng.standard_normal(hs.shape)
    layer.backward(dhs)
    assert layer.recurrence is layer
    assert_array_equal(layer.dhs, dhs)
    assert getattr(layer, f"d{layer.recurrent_state}").shape == (
        2,
        layer.state_widths[layer.recurrent_state],
    )
