"""Clipping, and parameters that are shared."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.layers import TimeEmbedding
from elman.training.optimizers import SGD
from elman.training.step import global_norm, merge_shared, norm_scale

ROWS = np.array([0, 3])


def gradients() -> list[Any]:
    """A sparse gradient, whose rows 0 and 3 differ from zero, and a dense one."""
    rng = np.random.default_rng(0)
    sparse = np.zeros((5, 2))
    sparse[ROWS] = rng.standard_normal((2, 2))
    return [sparse, rng.standard_normal(4)]


with_and_without_rows = pytest.mark.parametrize("rows", [[None, None], [ROWS, None]], ids=["dense", "rows"])


@with_and_without_rows
def test_the_norm_is_that_of_all_gradients_together(rows: list[Any]) -> None:
    grads = gradients()
    expected = math.sqrt(sum(float((g**2).sum()) for g in grads))
    assert global_norm(grads, rows) == pytest.approx(expected, rel=1e-14)


def clipped(rows: list[Any], **clipping: Any) -> list[Any]:
    """Return what an update takes for the gradients: the change of zeros by a rate of -1."""
    grads, params = gradients(), [np.zeros_like(g) for g in gradients()]
    SGD(lr=-1.0).update(params, grads, rows, **clipping)
    for grad, before in zip(grads, gradients(), strict=True):
        assert_array_equal(grad, before)
    return params


@with_and_without_rows
def test_clipping_by_norm_scales_all_alike(rows: list[Any]) -> None:
    norm = global_norm(gradients(), rows)
    scale = norm_scale(norm, norm / 4)
    found = clipped(rows, scale=scale)
    assert global_norm(found, rows) == pytest.approx(norm / 4, rel=1e-5)
    for changed, grad in zip(found, gradients(), strict=True):
        assert_array_equal(changed, grad * scale)


@with_and_without_rows
def test_a_small_gradient_is_not_clipped(rows: list[Any]) -> None:
    norm = global_norm(gradients(), rows)
    assert norm_scale(norm, norm * 1.01) == norm_scale(norm, None) == 1
    for changed, grad in zip(clipped(rows, limit=100.0), gradients(), strict=True):
        assert_array_equal(changed, grad)


@with_and_without_rows
def test_clipping_by_value_clips_every_entry_after_scaling(rows: list[Any]) -> None:
    for changed, grad in zip(clipped(rows, scale=0.5, limit=0.3), gradients(), strict=True):
        assert_array_equal(changed, np.clip(0.5 * grad, -0.3, 0.3))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_with_nan_or_infinity_has_no_finite_norm(bad: float) -> None:
    assert not math.isfinite(global_norm([np.array([1.0, bad])], [None]))


def test_a_norm_beyond_single_precision_is_not_finite() -> None:
    with np.errstate(over="ignore"):
        assert not math.isfinite(global_norm([np.full(3, 1e30, np.float32)], [None]))


def test_parameters_are_the_same_by_identity_not_by_value() -> None:
    shared, twin = np.ones(2), np.ones(2)
    params, grads, rows = merge_shared(
        [shared, twin, shared], [np.array([1.0, 2]), np.array([3.0, 4]), np.array([10.0, 20])], [None] * 3
    )
    assert params[0] is shared
    assert params[1] is twin
    assert [g.tolist() for g in grads] == [[11, 22], [3, 4]]
    assert rows == [None, None]


def test_without_shared_parameters_everything_is_passed_on_as_it_is() -> None:
    params, grads = [np.ones((5, 2)), np.ones(4)], gradients()
    found = merge_shared(params, grads, [ROWS, None])
    for lists, expected in zip(found, (params, grads, [ROWS, None]), strict=True):
        assert all(a is b for a, b in zip(lists, expected, strict=True))


def test_a_merged_gradient_names_no_rows() -> None:
    shared = np.zeros((5, 2))
    dense = np.ones((5, 2))
    _, (merged,), rows = merge_shared([shared, shared], [gradients()[0], dense], [ROWS, None])
    assert rows == [None]
    assert_allclose(merged, gradients()[0] + 1)


def test_two_layers_on_one_matrix_leave_no_stale_rows_in_their_gradients() -> None:
    W = np.random.default_rng(0).standard_normal((6, 2))
    first, second = TimeEmbedding(W), TimeEmbedding(W)
    for ids, others in ((np.array([[0, 1]]), np.array([[2, 3]])), (np.array([[0, 4]]), np.array([[5, 5]]))):
        expected = np.zeros_like(W)
        for layer, block in ((first, ids), (second, others)):
            layer.forward(block)
            layer.backward(np.ones((1, 2, 2)))
            np.add.at(expected, block.reshape(-1), 1)
        _, (merged,), _ = merge_shared([W, W], [*first.grads, *second.grads], [first.rows, second.rows])
        assert_array_equal(merged, expected)
