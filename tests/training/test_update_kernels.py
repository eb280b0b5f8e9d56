"""Compiled updates of float32 parameters, against array operations in float64."""

import copy
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.training import optimizers
from elman.training.optimizers import OPTIMIZERS, SGD, Adam, Momentum, Optimizer
from elman.workers import use_workers
from support.loops import UPDATES, needs_numba, switch_jit

every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)
Clipping = dict[str, float]
CLIPPINGS: dict[str, Clipping] = {
    "as they are": {},
    "scaled": {"scale": 0.3},
    "limited": {"limit": 0.5},
    "scaled and limited": {"scale": 0.3, "limit": 0.1},
}
every_clipping = pytest.mark.parametrize("clipping", CLIPPINGS.values(), ids=CLIPPINGS)


@pytest.fixture(params=["arrays", *UPDATES])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How float32 parameters are updated: by array operations, compiled, or by the same source in plain Python."""
    switch_jit(monkeypatch, request.param != "arrays")
    if request.param != "arrays":
        monkeypatch.setattr(optimizers, "update_kernels", UPDATES[request.param])
    return str(request.param)


def draw(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype("f")


def updated(
    name: str, param: Any, grads: list[Any], rows: Any = None, number: int = 1, **clipping: float
) -> list[Any]:
    """Return the parameter and its slots after a few updates, whose learning rate changes once."""
    optimizer = OPTIMIZERS[name](lr=0.1)
    for k, grad in enumerate(grads):
        optimizer.lr = 0.1 if k < 2 else 0.05
        with use_workers(number):
            optimizer.update([param], [grad], None if rows is None else [rows[k]], **clipping)
    return [param, *(held[0] for held in optimizer.state.values())]


def by_passes(name: str, param: Any, grads: list[Any], **clipping: float) -> list[Any]:
    """Return the same, reckoned in float64 on gradients clipped beforehand."""
    limit = clipping.get("limit", np.inf)
    ready = [np.clip(grad.astype("d") * clipping.get("scale", 1.0), -limit, limit) for grad in grads]
    return updated(name, param.astype("d"), ready)


def close(ours: list[Any], theirs: list[Any], error: float = 1e-5) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == np.float32
        assert np.abs(a - b).max(initial=0) <= error * np.abs(b).max(initial=0)


# The numbers


@every_optimizer
@every_clipping
def test_several_steps(way: str, name: str, clipping: Clipping) -> None:
    for shape in ((1,), (7,), (5, 20), (0,)):
        param, grads = draw(0, *shape), [draw(k, *shape) for k in range(1, 6)]
        expected = by_passes(name, param, grads, **clipping)
        close(updated(name, param, grads, **clipping), expected)


@every_optimizer
def test_the_change_is_exact_too(way: str, name: str) -> None:
    """From zero on, where nothing hides it: no digits are lost in 1 - beta2."""
    grads = [draw(k, 500) for k in range(1, 4)]
    expected = by_passes(name, np.zeros(500), grads)
    ours = updated(name, np.zeros(500, "f"), grads)
    for a, b in zip(ours, expected, strict=True):
        assert np.median(np.abs(a / b - 1)) < 4e-7


@every_optimizer
@every_clipping
def test_gradients_are_left_as_they_are(way: str, name: str, clipping: Clipping) -> None:
    param, grads = draw(0, 40), [draw(1, 40)]
    kept = grads[0].copy()
    updated(name, param, grads, **clipping)
    assert_array_equal(grads[0], kept)


@pytest.mark.parametrize("name", ["sgd", "adagrad"])
@every_clipping
def test_rows(way: str, name: str, clipping: Clipping) -> None:
    param, rows = draw(0, 9, 3), [np.array(r, np.intp) for r in ([8, 1], [1], [0, 2, 4], [])]
    grads = []
    for k, only in enumerate(rows):
        grads.append(np.zeros((9, 3), "f"))
        grads[-1][only] = draw(k + 1, len(only), 3)
    expected = by_passes(name, param, grads, **clipping)
    close(updated(name, param, grads, rows, **clipping), expected)


@every_optimizer
@every_clipping
def test_layout_does_not_matter(way: str, name: str, clipping: Clipping) -> None:
    """Parameters or gradients that are transposed, or every other number of a longer row."""
    start, grads = draw(0, 6, 10), [draw(k, 6, 10) for k in range(1, 4)]
    expected = by_passes(name, start, grads, **clipping)

    def every_other(array: Any) -> Any:
        return np.repeat(array, 2, axis=1)[:, ::2]

    for of_param in (np.asfortranarray, every_other, np.copy):
        for of_grads in (np.asfortranarray, every_other, np.copy):
            param = of_param(start)
            found = updated(name, param, [of_grads(grad) for grad in grads], **clipping)
            assert found[0] is param
            close(found, expected)


@every_optimizer
def test_nan_and_infinity_affect_their_own_entry_only(way: str, name: str) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        grad = draw(1, 40)
        expected = updated(name, draw(0, 40), [grad] * 2)
        grad[7] = bad
        with np.errstate(all="ignore"):
            found = updated(name, draw(0, 40), [grad] * 2)
            limited = updated(name, draw(0, 40), [grad] * 2, limit=5.0)
        for array, one in zip(found, expected, strict=True):
            assert not np.isfinite(array[7])
            array[7] = one[7]
            assert_array_equal(array, one)
        assert np.isnan(limited[0][7]) == np.isnan(bad)  # what is infinite is limited


@every_optimizer
def test_gradients_whose_squares_are_infinite(way: str, name: str) -> None:
    """They are divided by infinity, in every place of a vector unit: they count for nothing, and give no NaN."""
    grads = [np.full(37, 1e25, "f"), np.full(37, -1.0, "f")]
    with np.errstate(all="ignore"):
        param, *_ = updated(name, np.zeros(37, "f"), grads)
    assert np.isfinite(param).all()
    assert (param == param[0]).all()
    assert (param[0] == 0) == (name not in ("sgd", "momentum"))


# In pieces, and by several threads


@every_optimizer
@every_clipping
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_array_operations_go_piece_by_piece(
    monkeypatch: pytest.MonkeyPatch, name: str, clipping: Clipping, dtype: Any
) -> None:
    switch_jit(monkeypatch, False)
    for size in (1, 6, 7, 8, 14, 15):
        param, grads = draw(0, size).astype(dtype), [draw(k, size).astype(dtype) for k in range(1, 4)]
        monkeypatch.setattr(optimizers, "PIECE", 1000)
        whole = updated(name, param.copy(), grads, **clipping)
        monkeypatch.setattr(optimizers, "PIECE", 7)
        for ours, theirs in zip(updated(name, param, grads, **clipping), whole, strict=True):
            assert_array_equal(ours, theirs)


@every_optimizer
@pytest.mark.parametrize("number", [2, 3])
def test_several_threads_each_update_a_part(
    monkeypatch: pytest.MonkeyPatch, way: str, name: str, number: int
) -> None:
    monkeypatch.setattr(optimizers, "MIN_PART", 10)
    shared: list[int] = []
    real = optimizers.run_parallel
    monkeypatch.setattr(optimizers, "run_parallel", lambda *work: shared.append(len(work)) or real(*work))
    for size in (1, 9, 10, 19, 20, 29, 30, 31, 45):
        shared.clear()
        param, grads = draw(0, size), [draw(k, size) for k in range(1, 4)]
        expected = by_passes(name, param, grads, scale=0.3, limit=0.4)
        close(updated(name, param, grads, None, number, scale=0.3, limit=0.4), expected)
        workers = min(number, size // 10)
        assert shared == ([workers] * 3 if workers > 1 and way != "arrays" else [])


@every_optimizer
def test_several_parameters_of_different_sizes(monkeypatch: pytest.MonkeyPatch, way: str, name: str) -> None:
    monkeypatch.setattr(optimizers, "PIECE", 7)
    monkeypatch.setattr(optimizers, "MIN_PART", 10)
    shapes = [(3, 8), (2,), (5, 5), (1, 1)]
    params = [draw(k, *shape) for k, shape in enumerate(shapes)]
    exact, single, double = ([p.astype("d") for p in params], OPTIMIZERS[name](), OPTIMIZERS[name]())
    for step in range(3):
        grads = [draw(10 * step + k, *shape) for k, shape in enumerate(shapes)]
        with use_workers(2):
            single.update(params, grads, scale=0.5, limit=0.7)
        double.update(exact, [np.clip(0.5 * g.astype("d"), -0.7, 0.7) for g in grads])
        close(params, exact)


# When compiled functions are used


@pytest.fixture
def compiled_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    taken: list[int] = []
    real = Optimizer._change_compiled
    monkeypatch.setattr(
        Optimizer,
        "_change_compiled",
        lambda self, flat, *numbers: taken.append(len(flat[0])) or real(self, flat, *numbers),
    )
    return taken


@every_optimizer
def test_float64_is_updated_by_array_operations(compiled_sizes: list[int], name: str) -> None:
    updated(name, np.zeros(10), [np.ones(10)])
    assert compiled_sizes == []


@needs_numba
@every_optimizer
def test_float32_is_updated_by_compiled_functions_if_contiguous(
    monkeypatch: pytest.MonkeyPatch, compiled_sizes: list[int], name: str
) -> None:
    updated(name, np.zeros((2, 5), "f"), [np.ones((2, 5), "f")])
    assert compiled_sizes == [10]
    updated(name, np.zeros((5, 2), "f").T, [np.ones((2, 5), "f")])
    switch_jit(monkeypatch, False)
    updated(name, np.zeros((2, 5), "f"), [np.ones((2, 5), "f")])
    assert compiled_sizes == [10]


class Adam2(Adam):
    """A user-defined optimizer: Adam under another name."""


def test_a_subclass_uses_its_own_update() -> None:
    class SGD(optimizers.SGD):
        """Has the name of one with a compiled form, and goes uphill."""

        def _update(self, p: Any, g: Any, rate: Any, *held: Any) -> None:
            p += rate * g

    param = np.zeros(10, "f")
    SGD(lr=0.5).update([param], [np.ones(10, "f")])
    assert_array_equal(param, np.full(10, 0.5))
    grads, other = [draw(k, 10) for k in range(3)], np.zeros(10, "f")
    optimizer = Adam2(lr=0.1)
    for k, grad in enumerate(grads):
        optimizer.lr = 0.1 if k < 2 else 0.05
        optimizer.update([other], [grad])
    assert_allclose(other, updated("adam", np.zeros(10, "f"), grads)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "constant"),
    [
        ("momentum", "momentum"),
        ("adagrad", "eps"),
        ("rmsprop", "decay"),
        ("rmsprop", "eps"),
        ("adam", "beta1"),
        ("adam", "beta2"),
        ("adam", "eps"),
    ],
)
def test_a_constant_may_be_changed_between_updates(way: str, name: str, constant: str) -> None:
    params = [np.zeros(5, "f"), np.zeros(5)]
    for param in params:
        optimizer = OPTIMIZERS[name](lr=0.1)
        optimizer.next_rate = lambda: 0.1  # constant, so that nothing else tells one update from another
        for k in range(4):
            setattr(optimizer, constant, 0.9 if k < 2 else 0.3)
            optimizer.update([param], [np.full(5, k + 1.0, param.dtype)])
    assert_allclose(*params, rtol=2e-6)


def test_the_rate_may_be_an_array_that_holds_it(way: str) -> None:
    param, rate = np.zeros(3, "f"), np.array(0.1)
    optimizer = SGD()
    for value, expected in ((0.1, -0.1), (0.1, -0.2), (0.5, -0.7)):
        rate[...] = value
        optimizer.apply([param], [np.ones(3, "f")], rate)
        assert_allclose(param, np.full(3, expected), rtol=1e-6)


def test_a_copy_of_an_optimizer_continues_as_it_does(way: str) -> None:
    param = np.zeros(5, "f")
    optimizer = Momentum(lr=0.1)
    optimizer.update([param], [np.ones(5, "f")])
    twin, other = copy.deepcopy(optimizer), param.copy()
    optimizer.update([param], [np.ones(5, "f")])
    twin.update([other], [np.ones(5, "f")])
    assert_array_equal(param, other)
