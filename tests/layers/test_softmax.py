from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ShapeError
from elman.gradcheck import check_gradients
from elman.layers import TimeSoftmaxWithLoss

N, T, V = 3, 4, 6


def block(seed: int = 0, ignored: tuple[tuple[int, int], ...] = ()) -> tuple[Any, Any]:
    """Return scores (N, T, V) and targets (N, T)."""
    rng = np.random.default_rng(seed)
    xs, ts = 2 * rng.standard_normal((N, T, V)), rng.integers(0, V, (N, T))
    for place in ignored:
        ts[place] = -1
    return xs, ts


@settings(derandomize=True, deadline=None, max_examples=30, database=None)
@given(N=st.integers(1, 4), T=st.integers(1, 5), V=st.integers(1, 8), seed=st.integers(0, 99))
def test_equals_the_oracle(N: int, T: int, V: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    xs, ts = 3 * rng.standard_normal((N, T, V)), rng.integers(-1, V, (N, T))
    ts[0, 0] = 0  # one position counts at least
    layer = TimeSoftmaxWithLoss()
    loss, dxs = oracle.softmax_cross_entropy(xs, ts)
    assert_allclose(layer.forward(xs, ts), loss, rtol=1e-12, atol=1e-14)
    assert_allclose(layer.backward(), dxs, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("T", [1, 2, 5])
def test_gradients_of_the_second_block_agree_with_differences(T: int) -> None:
    rng = np.random.default_rng(T)
    before, xs = rng.standard_normal((2, 2, T, V))
    ts = rng.integers(0, V, (2, T))
    ts[0, 0] = -1
    report = check_gradients(TimeSoftmaxWithLoss(), xs, ts, before=before)
    assert [row.name for row in report.rows] == ["input"]
    assert report.passed


def test_loss_of_equal_scores_is_the_logarithm_of_the_vocabulary() -> None:
    assert_allclose(TimeSoftmaxWithLoss().forward(np.full((N, T, V), 7.0), np.zeros((N, T), int)), np.log(V))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_has_the_dtype_of_the_scores_and_the_loss_is_a_float(dtype: Any) -> None:
    xs, ts = block()
    layer = TimeSoftmaxWithLoss()
    loss = layer.forward(xs.astype(dtype), ts)
    assert type(loss) is float
    assert_allclose(loss, oracle.softmax_cross_entropy(xs, ts)[0], rtol=1e-5)
    assert layer.backward().dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_ten_thousand_do_not_overflow(dtype: Any) -> None:
    xs = np.array([[[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]]], dtype=dtype)
    layer = TimeSoftmaxWithLoss()
    assert_allclose(layer.forward(xs, np.array([[1, 2]])), (2e4 + np.log(3)) / 2, rtol=1e-6)
    assert_allclose(layer.backward(), [[[0.5, -0.5, 0], [1 / 6, 1 / 6, -1 / 3]]], rtol=1e-6)


@pytest.mark.parametrize("ignored", [((0, 0),), ((0, 3), (2, 1), (2, 2))])
def test_ignored_positions_count_neither_in_the_loss_nor_in_the_gradient(ignored: Any) -> None:
    xs, ts = block(ignored=ignored)
    layer = TimeSoftmaxWithLoss()
    loss = layer.forward(xs, ts)
    dxs = layer.backward().copy()
    assert {tuple(map(int, p)) for p in np.argwhere(~dxs.any(axis=2))} == set(ignored)
    for place in ignored:
        xs[place] = 99
    assert layer.forward(xs, ts) == loss
    assert_array_equal(layer.backward(), dxs)


def test_the_ignored_label_may_be_a_word_of_the_vocabulary() -> None:
    xs, ts = block()
    assert (ts == 2).any()
    loss, dxs = oracle.softmax_cross_entropy(xs, ts, ignore_label=2)
    layer = TimeSoftmaxWithLoss(ignore_label=2)
    assert_allclose(layer.forward(xs, ts), loss)
    assert_allclose(layer.backward(), dxs, atol=1e-15)


def test_a_block_that_is_ignored_as_a_whole_is_an_error() -> None:
    with pytest.raises(ShapeError, match="ignore_label"):
        TimeSoftmaxWithLoss().forward(np.zeros((N, T, V)), np.full((N, T), -1))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
def test_one_hot_targets_equal_ids(dtype: Any) -> None:
    xs, ts = block()
    layer = TimeSoftmaxWithLoss()
    loss = layer.forward(xs, ts)
    dxs = layer.backward().copy()
    assert layer.forward(xs, oracle.one_hot(ts, V).astype(dtype)) == loss
    assert_array_equal(layer.backward(), dxs)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_targets_may_be_of_any_integer_type(dtype: Any) -> None:
    xs, ts = block()
    layer = TimeSoftmaxWithLoss()
    assert layer.forward(xs, ts.astype(dtype)) == layer.forward(xs, ts)


def test_gradient_of_every_row_sums_to_zero() -> None:
    layer = TimeSoftmaxWithLoss()
    layer.forward(*block(ignored=((1, 1),)))
    assert_allclose(layer.backward().sum(axis=2), np.zeros((N, T)), atol=1e-15)


@pytest.mark.parametrize("dout", [2, -0.5, np.float32(0.25)])
def test_dout_scales_the_gradient(dout: Any) -> None:
    layer = TimeSoftmaxWithLoss()
    layer.forward(*block())
    once = layer.backward().copy()
    assert_allclose(layer.backward(dout), once * float(dout))


def test_scores_and_targets_are_left_as_they_were() -> None:
    xs, ts = block(ignored=((0, 1),))
    kept = xs.copy(), ts.copy()
    layer = TimeSoftmaxWithLoss()
    layer.forward(xs, ts)
    layer.backward()
    assert_array_equal(xs, kept[0])
    assert_array_equal(ts, kept[1])


def test_layout_of_scores_and_targets_does_not_matter() -> None:
    xs, ts = block()
    layer = TimeSoftmaxWithLoss()
    expected = layer.forward(xs, ts), layer.backward().copy()
    loss = layer.forward(np.asfortranarray(xs), np.repeat(ts, 2, axis=1)[:, ::2])
    assert (loss, layer.backward().tolist()) == (expected[0], expected[1].tolist())


@pytest.mark.parametrize("target", [V, -2])
def test_targets_out_of_range_are_an_error(target: int) -> None:
    xs, ts = block()
    ts[1, 1] = target
    with pytest.raises(ShapeError, match=rf"\[0, {V}\).*{target}"):
        TimeSoftmaxWithLoss().forward(xs, ts)


@pytest.mark.parametrize("shape", [(N, T + 1), (T, N), (N * T,), (N, T, V + 1), (N, T, 1)], ids=str)
def test_targets_of_a_wrong_shape_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as error:
        TimeSoftmaxWithLoss().forward(np.zeros((N, T, V)), np.zeros(shape, dtype=int))
    for expected in ((N, T), (N, T, V), shape):
        assert str(expected) in str(error.value)


def test_scores_of_a_wrong_dimension_are_an_error() -> None:
    with pytest.raises(ShapeError, match=r"xs must be \(N, T, V\), got \(12, 6\)"):
        TimeSoftmaxWithLoss().forward(np.zeros((12, 6)), np.zeros((3, 4), dtype=int))
