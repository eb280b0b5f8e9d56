"""Matrices in bfloat16: products, indexing and other operations are those of the rounded numbers."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.bfloat16 import all_finite, rounded_bits, widened
from elman.errors import ConfigError
from elman.layers import bfloat16_matrix
from elman.layers.bfloat16_matrix import FEW_ROWS, MANY_ROWS, Bfloat16Matrix, is_product


def draw(*shape: int) -> Any:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype("f")


def test_widening_rounded_numbers_gives_them_back() -> None:
    once = widened(rounded_bits(draw(5, 7)))
    assert_array_equal(widened(rounded_bits(once)), once)
    assert_allclose(once, draw(5, 7), rtol=2**-8)


@pytest.mark.parametrize("rows", [1, FEW_ROWS, FEW_ROWS + 1, 30, MANY_ROWS])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("sliced", [False, True])
def test_products_are_those_of_the_rounded_numbers(
    rows: int, transposed: bool, sliced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bfloat16_matrix, "BLOCK", 40)  # several blocks, the last one smaller
    monkeypatch.setattr(bfloat16_matrix, "LARGE_BLOCK", 80)
    bits = rounded_bits(draw(23, 12) if transposed else draw(12, 23))
    W = Bfloat16Matrix(bits).T if transposed else Bfloat16Matrix(bits)
    if sliced:
        W = Bfloat16Matrix(W.bits[:, 2:-3])
    x, out = draw(rows, 12), np.full((rows, W.shape[1]), np.nan, "f")
    expected = x.astype(np.float64) @ np.asarray(W)
    np.matmul(x, W, out=out)
    assert_allclose(out, expected, rtol=1e-4, atol=1e-5)
    assert_allclose(x @ W, expected, rtol=1e-4, atol=1e-5)
    assert_allclose(W.T @ x.T, expected.T, rtol=1e-4, atol=1e-5)


def test_what_is_read_of_it_is_float32() -> None:
    W = Bfloat16Matrix.of(draw(6, 4))
    array = np.asarray(W)
    assert (W.shape, W.ndim, W.dtype, len(W), W.nbytes) == ((6, 4), 2, np.float32, 6, 48)
    out = np.empty((3, 4), "f")
    assert_array_equal(np.take(W, [5, 0, 0], axis=0, out=out, mode="clip"), array[[5, 0, 0]])
    assert_array_equal(W[:, 1:3], array[:, 1:3])
    assert_array_equal(W + 0, array)
    assert_array_equal(np.add(1, W, out=np.empty((6, 4), "f")), array + 1)
    assert {each.dtype for each in (W[0], W + 0, W.T[1], np.asarray(W))} == {np.dtype("f")}


def test_it_cannot_be_changed() -> None:
    W = Bfloat16Matrix.of(draw(6, 4))
    with pytest.raises(ConfigError, match="cannot be changed; import the model again in float32"):
        W -= 1
    with pytest.raises(ConfigError, match="cannot be changed"):
        np.multiply(2.0, np.ones((6, 4), "f"), out=W)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        W[0] = 1  # type: ignore[index]


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_numbers_that_are_not_finite_are_found(value: float) -> None:
    bits = rounded_bits(draw(3, 3))
    assert all_finite(bits)
    bits[1, 2] = np.float32(value).view(np.uint32) >> 16
    assert not all_finite(bits)


def test_the_weights_of_products_are_known_by_their_names() -> None:
    assert all(map(is_product, ["embedding", "output.W", "3.Wr", "0.ffn_Wk"]))
    assert not any(map(is_product, ["output.b", "0.w1", "0.r_k", "0.conv", "0.A_log", "0.ffn_k"]))
