from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ShapeError, VocabularyError
from elman.gradcheck import check_gradients
from elman.layers import TimeEmbedding

V, D = 7, 3


def table(seed: int = 0, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(seed).standard_normal((V, D)).astype(dtype)


@settings(derandomize=True, deadline=None, max_examples=30, database=None)
@given(N=st.integers(1, 4), T=st.integers(1, 6), seed=st.integers(0, 99))
def test_equals_the_oracle(N: int, T: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    W, ids, dout = table(seed), rng.integers(0, V, (N, T)), rng.standard_normal((N, T, D))
    layer = TimeEmbedding(W)
    assert_array_equal(layer.forward(ids), oracle.embedding(ids, W))
    assert layer.backward(dout) is None
    assert_allclose(layer.grads[0], oracle.embedding_backward(ids, dout, W), atol=1e-12)
    assert_array_equal(layer.rows, np.unique(ids))


@pytest.mark.parametrize("T", [1, 2, 5])
def test_gradients_of_the_second_block_agree_with_differences(T: int) -> None:
    before, ids = np.random.default_rng(T).integers(0, V, (2, 2, T))
    report = check_gradients(TimeEmbedding(table()), ids, before=before)
    assert [row.name for row in report.rows] == ["params[0]"]
    assert report.passed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_has_the_dtype_of_the_weights(dtype: Any) -> None:
    layer = TimeEmbedding(table(dtype=dtype))
    assert layer.forward(np.array([[1, 2]])).dtype == dtype
    layer.backward(np.ones((1, 2, D)))
    assert layer.grads[0].dtype == dtype


def test_repeated_ids_add_up() -> None:
    layer = TimeEmbedding(table())
    layer.forward(np.array([[2, 5, 2], [2, 0, 5]]))
    layer.backward(np.ones((2, 3, D)))
    assert_array_equal(layer.grads[0][:, 0], [1, 0, 3, 0, 0, 2, 0])


def test_only_the_rows_of_the_last_block_have_a_gradient() -> None:
    layer = TimeEmbedding(table())
    assert layer.rows is None
    for ids, rows in (([[1, 2, 1]], [1, 2]), ([[4, 2, 6]], [2, 4, 6]), ([[0, 0, 0]], [0])):
        layer.forward(np.array(ids))
        layer.backward(np.ones((1, 3, D)))
        assert_array_equal(layer.rows, rows)
        assert_array_equal(np.flatnonzero(layer.grads[0].any(axis=1)), rows)


def test_tied_adds_to_what_another_layer_wrote() -> None:
    layer = TimeEmbedding(table(), tied=True)
    for _ in range(2):
        layer.grads[0][...] = 10  # the other layer's part, written anew in every block
        layer.forward(np.array([[1, 1, 4]]))
        layer.backward(np.ones((1, 3, D)))
        assert_array_equal(layer.grads[0][:, 0], [10, 12, 10, 10, 11, 10, 10])
    assert layer.rows is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_ids_may_be_of_any_integer_type(dtype: Any) -> None:
    layer, ids = TimeEmbedding(table()), np.array([[0, 6], [3, 3]], dtype=dtype)
    assert_array_equal(layer.forward(ids), layer.params[0][ids])


def test_layout_of_ids_and_gradient_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    layer, ids, dout = TimeEmbedding(table()), rng.integers(0, V, (4, 6)), rng.standard_normal((4, 6, D))
    vectors = layer.forward(ids).copy()
    layer.backward(dout)
    expected = layer.grads[0].copy()
    assert_array_equal(layer.forward(np.repeat(ids, 2, axis=1)[:, ::2]), vectors)
    layer.backward(np.asfortranarray(dout))
    assert_array_equal(layer.grads[0], expected)


def test_output_is_valid_until_the_next_forward() -> None:
    layer = TimeEmbedding(table())
    vectors = layer.forward(np.array([[1, 2]]))
    value = vectors.copy()
    layer.backward(np.ones((1, 2, D)))
    layer.params[0] += 1
    assert_array_equal(vectors, value)
    assert np.shares_memory(vectors, layer.forward(np.array([[3, 4]])))


@pytest.mark.parametrize(("ids", "named"), [([[0, V]], f"0 to {V}"), ([[-1, 2]], "-1 to 2")])
def test_ids_out_of_range_are_an_error(ids: list[list[int]], named: str) -> None:
    with pytest.raises(VocabularyError, match=rf"\[0, {V}\), got {named}"):
        TimeEmbedding(table()).forward(np.array(ids))


@pytest.mark.parametrize("shape", [(3,), (1, 3, 2)], ids=str)
def test_ids_of_a_wrong_dimension_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as error:
        TimeEmbedding(table()).forward(np.zeros(shape, dtype=int))
    assert "(N, T)" in str(error.value)
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("shape", [(2, 3, 2 * D), (2, 4, D), (6, D)], ids=str)
def test_gradient_of_a_wrong_shape_is_an_error(shape: tuple[int, ...]) -> None:
    """Without the check (2, 3, 2·D) would be read as twice as many rows, in silence."""
    layer = TimeEmbedding(table())
    layer.forward(np.zeros((2, 3), dtype=int))
    with pytest.raises(ShapeError) as error:
        layer.backward(np.zeros(shape))
    assert str((2, 3, D)) in str(error.value)
    assert str(shape) in str(error.value)


def test_a_block_of_no_steps_gives_no_output() -> None:
    assert TimeEmbedding(table()).forward(np.zeros((2, 0), dtype=int)).shape == (2, 0, D)
