"""Output weights in 16 or 8 bits: what they are rounded to, and products with few and many rows."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError
from elman.layers.bfloat16_matrix import FEW_ROWS
from elman.layers.output import log_probs, target_log_probs
from elman.layers.reduced import ReducedMatrix
from support.loops import KERNELS

DTYPES = ("bfloat16", "int8")


def draw(*shape: int) -> Any:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype("f")


def test_bfloat16_is_the_nearest_of_8_bits() -> None:
    W = np.array([[1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-7 + 2**-20, -3.0, 0.0]], "f")
    assert_array_equal(ReducedMatrix(W, "bfloat16").rounded(), [[1.0, 1.0, 1 + 2**-6, 1 + 2**-7, -3.0, 0.0]])


def test_int8_has_a_scale_for_each_word() -> None:
    W = np.array([[127.0, 0.5, 0.0], [-63.6, 0.1, 0.0]], "f")
    assert_allclose(ReducedMatrix(W, "int8").rounded(), [[127, 0.5, 0], [-64, 25 * 0.5 / 127, 0]], rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_twice_changes_nothing(dtype: Any) -> None:
    once = ReducedMatrix(draw(7, 30), dtype).rounded()
    assert_allclose(ReducedMatrix(once, dtype).rounded(), once, rtol=1e-6)
    assert np.abs(once - draw(7, 30)).max() < 0.02


@pytest.mark.parametrize("H", [1, 8, 11])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernels", KERNELS.values(), ids=KERNELS)
def test_the_product_is_that_of_the_rounded_numbers(
    kernels: Any, dtype: Any, H: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernels is not KERNELS.get("compiled"):
        monkeypatch.setattr(kernels, "COLUMNS", 9)
    rows, reduced = draw(3, H), ReducedMatrix(draw(H, 23), dtype)
    out = np.full((3, 23), 777, "f")
    kernels.reduced_product(rows, reduced.values, reduced.scales, out)
    assert_allclose(out, rows.astype(np.float64) @ reduced.rounded(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_few_rows_have_the_scores_of_many(dtype: Any) -> None:
    rows, b, targets = draw(FEW_ROWS + 1, 12), draw(40), np.arange(FEW_ROWS + 1)
    reduced = ReducedMatrix(draw(12, 40), dtype)
    W = reduced.rounded()
    expected = log_probs(rows, W, b)
    for count in (1, 2, FEW_ROWS, FEW_ROWS + 1):
        assert_allclose(log_probs(rows[:count], W, b, reduced), expected[:count], rtol=1e-5)
        of_targets = target_log_probs(rows[:count], targets[:count], W, b, reduced=reduced)
        assert_allclose(of_targets, expected[np.arange(count), targets[:count]], rtol=1e-5)


def test_other_weights_and_dtypes_are_refused() -> None:
    with pytest.raises(ConfigError, match="only float32 weights"):
        ReducedMatrix(np.ones((2, 3)), "int8")
    with pytest.raises(
        ConfigError, match="`output_dtype` must be one of float32, bfloat16, int8, got 'int4'"
    ):
        ReducedMatrix(np.ones((2, 3), "f"), "int4")  # type: ignore[arg-type]
