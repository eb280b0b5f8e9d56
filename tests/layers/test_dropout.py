from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, ShapeError
from elman.gradcheck import check_gradients
from elman.layers import TimeDropout

ones = np.ones((20, 30, 50))


@settings(derandomize=True, deadline=None, max_examples=20, database=None)
@given(ratio=st.floats(0.01, 0.95), seed=st.integers(0, 99))
def test_a_fraction_is_dropped_and_the_rest_scaled(ratio: float, seed: int) -> None:
    """30,000 units: the share dropped is the ratio, and the mean stays 1, within five deviations."""
    out = TimeDropout(ratio, rng=np.random.default_rng(seed)).forward(ones)
    assert_allclose(np.unique(out), [0, 1 / (1 - ratio)])
    deviation = np.sqrt(ratio * (1 - ratio) / ones.size)
    assert abs((out == 0).mean() - ratio) < 5 * deviation
    assert abs(out.mean() - 1) < 5 * deviation / (1 - ratio)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_mask_differs_along_every_axis(axis: int) -> None:
    out = TimeDropout(0.5, rng=np.random.default_rng(0)).forward(ones)
    assert (out != np.roll(out, 1, axis=axis)).any()


def test_is_the_identity_when_not_training() -> None:
    layer = TimeDropout(0.5)
    layer.forward(ones)
    layer.train_flg = False
    assert layer.forward(ones) is ones
    assert layer.backward(ones) is ones


def test_a_ratio_of_zero_is_the_identity() -> None:
    layer = TimeDropout(0.0)
    assert_array_equal(layer.forward(ones), ones)
    assert_array_equal(layer.backward(ones), ones)


def test_the_same_seed_gives_the_same_masks_and_another_seed_others() -> None:
    def three_blocks(seed: int) -> Any:
        layer = TimeDropout(0.5, rng=np.random.default_rng(seed))
        return np.array([layer.forward(ones).copy() for _ in range(3)])

    first, same, other = three_blocks(1), three_blocks(1), three_blocks(2)
    assert_array_equal(first, same)
    assert (first != other).any()
    assert (first[0] != first[1]).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mask_does_not_depend_on_the_dtype_and_keeps_it(dtype: Any) -> None:
    layer = TimeDropout(0.3, rng=np.random.default_rng(0))
    out = layer.forward(ones.astype(dtype))
    assert out.dtype == dtype
    assert layer.backward(out).dtype == dtype
    assert_allclose(out, TimeDropout(0.3, rng=np.random.default_rng(0)).forward(ones), rtol=1e-6)


def test_backward_uses_the_mask_of_the_forward() -> None:
    layer = TimeDropout(0.5, rng=np.random.default_rng(0))
    for _ in range(2):
        out = layer.forward(ones)
        assert_array_equal(layer.backward(ones), out)
        assert_array_equal(layer.backward(3 * ones), 3 * out)


def test_gradients_agree_with_differences_for_a_fixed_mask() -> None:
    class SameMask(TimeDropout):
        def forward(self, xs: Any) -> Any:
            self.rng = np.random.default_rng(5)
            return super().forward(xs)

    report = check_gradients(SameMask(0.4), np.random.default_rng(0).standard_normal((2, 5, 3)))
    assert [row.name for row in report.rows] == ["input"]
    assert report.passed


def test_layout_does_not_matter_and_the_input_is_left_as_it_was() -> None:
    xs = np.random.default_rng(0).standard_normal((2, 5, 3))
    kept = xs.copy()
    a = TimeDropout(0.5, rng=np.random.default_rng(0)).forward(xs)
    b = TimeDropout(0.5, rng=np.random.default_rng(0)).forward(np.asfortranarray(xs))
    assert_array_equal(a, b)
    assert_array_equal(xs, kept)


def test_has_no_parameters() -> None:
    assert TimeDropout().params == TimeDropout().grads == []


@pytest.mark.parametrize("ratio", [-0.1, 1, 1.5, float("nan")])
def test_a_ratio_out_of_range_is_an_error(ratio: float) -> None:
    with pytest.raises(ConfigError, match=rf"\[0, 1\), got {ratio}"):
        TimeDropout(ratio)


def test_wrong_shapes_are_errors() -> None:
    layer = TimeDropout(0.5)
    with pytest.raises(ShapeError, match=r"\(N, T, D\), got \(6, 4\)"):
        layer.forward(np.ones((6, 4)))
    layer.forward(np.ones((2, 3, 4)))
    with pytest.raises(ShapeError, match=r"\(2, 3, 4\), got \(2, 3, 1\)"):
        layer.backward(np.ones((2, 3, 1)))


# One mask through a block


def by_block(ratio: float = 0.5, seed: int = 0) -> TimeDropout:
    return TimeDropout(ratio, np.random.default_rng(seed), mask="block")


def test_a_mask_for_a_block_is_the_same_at_every_step_and_another_in_the_next_block() -> None:
    layer = by_block()
    first, second = (layer.forward(ones).copy() for _ in range(2))
    assert_array_equal(first, np.broadcast_to(first[:, :1], first.shape))
    assert (first != second).any()
    for axis in (0, 2):
        assert (first != np.roll(first, 1, axis=axis)).any()
    assert_array_equal(layer.backward(3 * ones), 3 * second)


def test_a_mask_for_a_block_drops_the_same_fraction_and_keeps_the_mean() -> None:
    out = np.array([by_block(0.3, seed).forward(ones[:, :1]) for seed in range(50)])  # 50,000 units
    assert_allclose(np.unique(out), [0, 1 / 0.7])
    assert (out == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert out.mean() == pytest.approx(1, abs=0.02)


def test_of_one_step_both_masks_are_the_same() -> None:
    step = TimeDropout(0.5, np.random.default_rng(0))
    assert_array_equal(by_block().forward(ones[:, :1]), step.forward(ones[:, :1]))


def test_a_mask_for_a_block_in_spans_of_steps() -> None:
    layer, whole = by_block(), by_block()
    xs = np.random.default_rng(1).standard_normal((2, 7, 3))
    out = layer.begin(xs)
    for span in ((0, 1), (1, 4), (4, 7)):
        layer.forward_steps(*span)
    assert_array_equal(out, whole.forward(xs))
    dxs = layer.begin_backward(xs)
    for span in ((4, 7), (1, 4), (0, 1)):
        layer.backward_steps(*span)
    assert_array_equal(dxs, whole.backward(xs))


def test_an_unknown_mask_is_an_error() -> None:
    with pytest.raises(ConfigError, match="must be 'step' or 'block', got 'epoch'"):
        TimeDropout(0.5, mask="epoch")  # type: ignore[arg-type]
    layer = by_block()
    layer.forward(np.ones((2, 3, 4)))
    with pytest.raises(ShapeError, match=r"\(2, 3, 4\), got \(2, 1, 4\)"):
        layer.backward(np.ones((2, 1, 4)))
