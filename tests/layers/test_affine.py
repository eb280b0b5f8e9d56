from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ShapeError
from elman.gradcheck import check_gradients
from elman.layers import TimeAffine

H, V = 3, 5
sizes = st.integers(1, 5)


def layer_of(seed: int = 0, H: int = H, V: int = V, dtype: Any = np.float64) -> TimeAffine:
    rng = np.random.default_rng(seed)
    return TimeAffine(rng.standard_normal((H, V)).astype(dtype), rng.standard_normal(V).astype(dtype))


@settings(derandomize=True, deadline=None, max_examples=20, database=None)
@given(N=sizes, T=sizes, H=sizes, V=sizes, seed=st.integers(0, 99))
def test_equals_the_oracle(N: int, T: int, H: int, V: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer, xs, dout = layer_of(seed, H, V), rng.standard_normal((N, T, H)), rng.standard_normal((N, T, V))
    assert_allclose(layer.forward(xs), oracle.affine(xs, *layer.params), atol=1e-12)
    dxs, dW, db = oracle.affine_backward(xs, dout, layer.params[0])
    assert_allclose(layer.backward(dout), dxs, atol=1e-12)
    assert_allclose(layer.grads[0], dW, atol=1e-12)
    assert_allclose(layer.grads[1], db, atol=1e-12)


@pytest.mark.parametrize("T", [1, 2, 5])
def test_gradients_of_the_second_block_agree_with_differences(T: int) -> None:
    before, xs = np.random.default_rng(T).standard_normal((2, 2, T, H))
    report = check_gradients(layer_of(), xs, before=before)
    assert [row.name for row in report.rows] == ["params[0]", "params[1]", "input"]
    assert report.passed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_has_the_dtype_of_the_weights(dtype: Any) -> None:
    layer = layer_of(dtype=dtype)
    arrays = [layer.forward(np.ones((2, 3, H))), layer.backward(np.ones((2, 3, V))), *layer.grads]
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}


def test_layout_of_input_and_gradient_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    layer, xs, dout = layer_of(), rng.standard_normal((2, 4, H)), rng.standard_normal((2, 4, V))
    expected = [layer.forward(xs).copy(), layer.backward(dout).copy(), layer.grads[0].copy()]
    actual = [
        layer.forward(np.asfortranarray(xs)),
        layer.backward(np.repeat(dout, 2, 1)[:, ::2]),
        layer.grads[0],
    ]
    for ours, theirs in zip(actual, expected, strict=True):
        assert_array_equal(ours, theirs)


def test_output_is_valid_until_the_next_forward() -> None:
    rng = np.random.default_rng(0)
    layer = layer_of()
    scores = layer.forward(rng.standard_normal((2, 4, H)))
    value = scores.copy()
    layer.backward(rng.standard_normal((2, 4, V)))
    assert_array_equal(scores, value)


@pytest.mark.parametrize("shape", [(2, 4, H + 1), (8, H)], ids=str)
def test_input_of_a_wrong_shape_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as error:
        layer_of().forward(np.zeros(shape))
    assert f"(N, T, {H})" in str(error.value)
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("shape", [(2, 4, V + 1), (4, 2, V), (8, V)], ids=str)
def test_gradient_of_a_wrong_shape_is_an_error(shape: tuple[int, ...]) -> None:
    """Without the check (4, 2, V) has as many rows and would be multiplied sequence by wrong sequence, in silence."""
    layer = layer_of()
    layer.forward(np.zeros((2, 4, H)))
    with pytest.raises(ShapeError) as error:
        layer.backward(np.zeros(shape))
    assert str((2, 4, V)) in str(error.value)
    assert str(shape) in str(error.value)


def test_weights_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(ShapeError, match=r"TimeAffine: b must be \(5,\), got \(4,\)"):
        TimeAffine(np.zeros((3, 5)), np.zeros(4))
