"""Optimizers against their equations, written down once more for one number at a time."""

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.training.optimizers import OPTIMIZERS, SGD, AdaGrad, Adam, Momentum, RMSProp

Steps = list[float]


def sgd(p: float, gradients: Steps) -> float:
    for g in gradients:
        p -= 0.1 * g
    return p


def momentum(p: float, gradients: Steps) -> float:
    v = 0.0
    for g in gradients:
        v = 0.9 * v - 0.1 * g
        p += v
    return p


def adagrad(p: float, gradients: Steps) -> float:
    s = 0.0
    for g in gradients:
        s += g * g
        p -= 0.1 * g / math.sqrt(s + 1e-8)
    return p


def rmsprop(p: float, gradients: Steps) -> float:
    s = 0.0
    for g in gradients:
        s = 0.99 * s + 0.01 * g * g
        p -= 0.1 * g / math.sqrt(s + 1e-8)
    return p


def adam(p: float, gradients: Steps) -> float:
    m = s = 0.0
    for t, g in enumerate(gradients, 1):
        m = 0.9 * m + 0.1 * g
        s = 0.999 * s + 0.001 * g * g
        rate = 0.1 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        p -= rate * m / (math.sqrt(s) + 1e-8)
    return p


BY_HAND: dict[str, Callable[[float, Steps], float]] = {
    "sgd": sgd,
    "momentum": momentum,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
}
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def params_and_gradients(steps: int, seed: int = 0) -> tuple[list[Any], list[list[Any]]]:
    rng = np.random.default_rng(seed)
    shapes = [(6, 3), (4,), (2, 2)]
    return [rng.standard_normal(s) for s in shapes], [
        [rng.standard_normal(s) for s in shapes] for _ in range(steps)
    ]


@every_optimizer
def test_follows_its_equation(name: str) -> None:
    params, gradients = params_and_gradients(4)
    begun = [p.copy() for p in params]
    optimizer = OPTIMIZERS[name](lr=0.1)
    for grads in gradients:
        optimizer.update(params, grads)
    for k, (p, before) in enumerate(zip(params, begun, strict=True)):
        for place in np.ndindex(p.shape):
            steps = [float(grads[k][place]) for grads in gradients]
            assert p[place] == pytest.approx(BY_HAND[name](float(before[place]), steps), rel=1e-9)
    assert optimizer.step == 4


@every_optimizer
def test_changes_parameters_in_place_and_gradients_not_at_all(name: str) -> None:
    params, (grads,) = params_and_gradients(1)
    same, kept = list(params), [g.copy() for g in grads]
    before = [p.copy() for p in params]
    OPTIMIZERS[name](lr=0.1).update(params, grads)
    for p, q, old in zip(params, same, before, strict=True):
        assert p is q
        assert (p != old).all()
    for g, q in zip(grads, kept, strict=True):
        assert_array_equal(g, q)


@every_optimizer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_keeps_the_precision_of_the_parameters(name: str, dtype: Any) -> None:
    param = np.ones((3, 2), dtype)
    optimizer = OPTIMIZERS[name](lr=0.1)
    for _ in range(2):
        optimizer.update([param], [np.full((3, 2), 0.5, dtype)])
    assert param.dtype == dtype
    assert all(array.dtype == dtype for held in optimizer.state.values() for array in held)


def sparse_steps(steps: int) -> list[tuple[Any, Any]]:
    """Gradients (6, 3) of which only some rows differ from zero, and the numbers of these rows."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(steps):
        rows = np.sort(rng.choice(6, rng.integers(1, 5), replace=False))
        grad = np.zeros((6, 3))
        grad[rows] = rng.standard_normal((len(rows), 3))
        found.append((grad, rows))
    return found


@every_optimizer
def test_naming_the_rows_changes_no_number(name: str) -> None:
    (dense, bias, _), _ = params_and_gradients(1)
    sparse, other_bias = dense.copy(), bias.copy()
    with_rows, without = OPTIMIZERS[name](lr=0.1), OPTIMIZERS[name](lr=0.1)
    for grad, rows in sparse_steps(6):
        with_rows.update([sparse, other_bias], [grad, np.ones(4)], [rows, None])
        without.update([dense, bias], [grad, np.ones(4)])
    assert_array_equal(sparse, dense)
    assert_array_equal(other_bias, bias)
    for slot in with_rows.slots:
        for ours, theirs in zip(with_rows.state[slot], without.state[slot], strict=True):
            assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("Optimizer", "skips"), [(SGD, 1), (AdaGrad, 1), (Momentum, 0), (RMSProp, 0), (Adam, 0)]
)
def test_only_where_a_zero_gradient_changes_nothing_are_rows_skipped(Optimizer: Any, skips: int) -> None:
    """A gradient outside the named rows breaks the promise, and so shows which rows were looked at."""
    param = np.zeros((3, 1))
    Optimizer(lr=0.1).update([param], [np.ones((3, 1))], [np.array([1])])
    assert [bool(p) for p in param[:, 0]] == [not skips, True, not skips]


@pytest.mark.parametrize(
    ("Optimizer", "moves"), [(SGD, 0), (AdaGrad, 0), (RMSProp, 0), (Momentum, 1), (Adam, 1)]
)
def test_what_a_zero_gradient_does(Optimizer: Any, moves: int) -> None:
    param = np.ones((2, 1))
    optimizer = Optimizer(lr=0.1)
    optimizer.update([param], [np.ones((2, 1))])
    before = param.copy()
    optimizer.update([param], [np.zeros((2, 1))])
    assert (param != before).all() == moves


@every_optimizer
def test_a_changed_learning_rate_counts_from_the_next_step(name: str) -> None:
    param = np.zeros(1)
    optimizer = OPTIMIZERS[name](lr=1.0)
    optimizer.lr = 0.0
    optimizer.update([param], [np.ones(1)])
    assert param == 0
    optimizer.lr = 1.0
    optimizer.update([param], [np.ones(1)])
    assert param < 0


def test_first_steps_have_the_size_that_their_papers_say() -> None:
    gradient = np.array([1e-3, -20.0])
    for Optimizer in (AdaGrad, Adam):
        param = np.zeros(2)
        Optimizer(lr=0.1).update([param], [gradient])
        assert_allclose(param, [-0.1, 0.1], rtol=0.01)


@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_work_space_does_not_grow_with_every_new_number_of_rows(name: str) -> None:
    param, grad = np.zeros((400, 50)), np.ones((400, 50))
    optimizer = OPTIMIZERS[name](lr=0.1)
    optimizer.update([param], [grad], [np.arange(400)])
    tracemalloc.start()
    for count in range(1, 400):
        optimizer.update([param], [grad], [np.arange(count)])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < param.nbytes
