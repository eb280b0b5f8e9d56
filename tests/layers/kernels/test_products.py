"""Products in compiled functions, against NumPy's."""

from typing import Any

import numpy as np
import pytest

from elman import workers
from elman.layers.kernels import products
from elman.layers.kernels.products import can_compile_products, product
from elman.numba_jit import jit
from support.loops import needs_numba, switch_jit


@jit
def multiply(a: Any, b: Any, out: Any) -> None:
    """Call the product from within a compiled function."""
    product(a, b, out)


def draw(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype("f")


@needs_numba
@pytest.mark.parametrize(("M", "K", "N"), [(1, 1, 1), (1, 5, 3), (4, 1, 6), (7, 5, 3), (10, 100, 17)])
def test_every_layout(M: int, K: int, N: int) -> None:
    if not can_compile_products():
        pytest.skip("NumPy's BLAS is not that of its wheels")
    out = np.full((M, N), np.nan, "f")
    for a in (draw(M, K), draw(K, M).T):
        for b in (draw(K, N), draw(N, K).T):
            multiply(a, b, out)
            np.testing.assert_allclose(out, a.astype("d") @ b.astype("d"), rtol=0, atol=2e-5)


def test_without_a_compiler_it_is_numpys() -> None:
    out = np.empty((2, 4), "f")
    product(draw(2, 3), draw(3, 4), out)
    np.testing.assert_array_equal(out, draw(2, 3) @ draw(3, 4))


def test_another_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions of a BLAS whose integers have another size are not taken."""
    monkeypatch.setattr(workers, "_blas", lambda: [type("Library", (), {"dynlib": object()})])
    assert workers.blas_function("cblas_sgemm") is None
    switch_jit(monkeypatch, True)
    assert not products.can_compile_products.__wrapped__()


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "is_available", lambda: False)
    assert not products.can_compile_products.__wrapped__()
