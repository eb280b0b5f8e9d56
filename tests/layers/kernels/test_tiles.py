"""The products in kernels/tiles.py, compiled and as plain Python, against float64."""

from typing import Any

import numpy as np
import pytest

from elman.arrays import Buffers
from support.loops import TILES

every_compilation = pytest.mark.parametrize("tiles", TILES.values(), ids=TILES)


def draw(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype("f")


def close(ours: Any, theirs: Any, K: int) -> None:
    assert np.abs(ours - theirs).max() <= 1e-6 * np.sqrt(K) * np.abs(theirs).max() + 1e-6


@pytest.mark.parametrize("rows", [*range(1, 10), 12, 13, 15])
@pytest.mark.parametrize(("K", "G"), [(1, 64), (5, 65), (17, 200), (3, 127), (9, 63), (4, 16), (7, 3)])
@every_compilation
def test_products_with_a_packed_matrix(tiles: Any, rows: int, K: int, G: int) -> None:
    x, W, out = draw(0, rows + 1, K), draw(1, K, G), np.full((rows + 2, G), 777, "f")
    for matrix in (W, np.ascontiguousarray(W.T).T):
        prepared = tiles.packed(matrix, 2, rows, Buffers(), "W")
        out[1:-1] = 777
        tiles.multiply(x[1:], prepared, out[1:-1])
        close(out[1:-1], x[1:].astype("d") @ W, K)
        assert (out[[0, -1]] == 777).all()


@pytest.mark.parametrize("other", [16, 64])
def test_panels_of_another_width_than_the_compiled_one(monkeypatch: pytest.MonkeyPatch, other: int) -> None:
    tiles = TILES["plain"]
    x, W, out = draw(0, 7, 5), draw(1, 5, 70), np.full((7, 70), 777, "f")
    monkeypatch.setattr(tiles, "WIDTH", other)
    panels = tiles.packed(W, 2, 7, Buffers(), "W")
    for module in TILES.values():
        if module is tiles:
            monkeypatch.setattr(tiles, "WIDTH", 80 - other)
        out[...] = 777
        module.multiply(x, panels, out)
        close(out, x.astype("d") @ W, 5)


@every_compilation
def test_nan_and_infinity_stay_in_their_rows(tiles: Any) -> None:
    x, W, out = draw(0, 8, 5), draw(1, 5, 70), np.empty((8, 70), "f")
    x[1, 2], x[7, 0] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        tiles.multiply(x, tiles.packed(W, 2, 8, Buffers(), "W"), out)
    assert (np.isfinite(out).all(axis=1) == [True, False, *[True] * 5, False]).all()


@pytest.mark.parametrize("width", [64, 16, 0])
def test_which_products_are_compiled(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    tiles = TILES["plain"]
    monkeypatch.setattr(tiles, "WIDTH", width)
    W = np.zeros((10, 100), "f")

    def pays(W: Any, steps: int, rows: int) -> bool:
        prepared = tiles.packed(W, steps, rows, Buffers(), "W")
        assert prepared.flags.c_contiguous
        return tiles.can_multiply(rows, prepared)

    assert pays(W[:, :3], 1, tiles.FEW)
    assert pays(W, 2, tiles.FEW + 1) == pays(W, 2, tiles.MANY) == (width > 0)
    assert not pays(W, 1, 20)
    assert not pays(W, 2, tiles.MANY + 1)
    assert not pays(W[:, :15], 2, 20)


@pytest.mark.parametrize(
    ("units", "width"),
    [
        ({"baseline": ["SSE"], "found": ["X86_V3", "X86_V4"]}, 64),
        ({"baseline": ["SSE"], "found": ["AVX2", "FMA3"]}, 16),
        ({"baseline": ["NEON"]}, 0),
        ({}, 0),
    ],
)
def test_the_width_follows_the_processor(
    monkeypatch: pytest.MonkeyPatch, units: dict[str, list[str]], width: int
) -> None:
    monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": units} if units else {})
    assert TILES["plain"].width() == width


@pytest.mark.parametrize("K", [1, 2, 3, 4, 5, 8, 17, 100])
@pytest.mark.parametrize("G", [1, 3, 17])
@every_compilation
def test_add_product(tiles: Any, K: int, G: int) -> None:
    x, W, out = draw(0, K), draw(1, K, G), draw(2, G)
    expected = out + x.astype("d") @ W
    tiles.add_product(x, W, out)
    close(out, expected, K)
