"""Weight decay: the fraction that every optimizer takes from the matrices besides its step."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError
from elman.training import optimizers
from elman.training.config import Config
from elman.training.optimizers import OPTIMIZERS, SGD
from elman.training.run import TrainingRun
from elman.workers import use_workers
from support.loops import CAN_COMPILE, switch_jit
from support.runs import new_run

WAYS = ["passes", "compiled"] if CAN_COMPILE else ["passes"]
LR, DECAY, STEPS = 0.1, 0.3, 4
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    switch_jit(monkeypatch, request.param == "compiled")
    return str(request.param)


def gradients(shape: tuple[int, ...], dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(1)
    return [rng.standard_normal(shape).astype(dtype) for _ in range(STEPS)]


def begin(shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def by_formula(name: str, shape: tuple[int, ...]) -> Any:
    """p ← p - lr·decay·p + step, the steps being those without decay, since none of them depends on p."""
    plain, p = begin(shape, np.float64), begin(shape, np.float64)
    optimizer = OPTIMIZERS[name](lr=LR)
    for k, grad in enumerate(gradients(shape, np.float64)):
        optimizer.lr = LR if k < 2 else LR / 2
        before = plain.copy()
        optimizer.update([plain], [grad])
        p = p - optimizer.lr * DECAY * p + (plain - before)
    return p


def decayed(name: str, param: Any, rows: Any = None, **options: float) -> Any:
    optimizer = OPTIMIZERS[name](lr=LR, **{"weight_decay": DECAY, **options})
    for k, grad in enumerate(gradients(param.shape, param.dtype)):
        optimizer.lr = LR if k < 2 else LR / 2
        if rows is not None:
            grad[[row for row in range(len(grad)) if row not in rows]] = 0
        optimizer.update([param], [grad], None if rows is None else [rows])
    return param


@every_optimizer
@pytest.mark.parametrize("shape", [(6, 3), (1, 1), (2, 0)])
def test_a_matrix_follows_the_formula(way: str, name: str, shape: tuple[int, ...]) -> None:
    assert_allclose(decayed(name, begin(shape)), by_formula(name, shape), rtol=1e-5, atol=1e-6)


@every_optimizer
def test_layout_and_precision_do_not_matter(way: str, name: str) -> None:
    expected = by_formula(name, (6, 3))
    for param in (np.asfortranarray(begin((6, 3))), begin((6, 3), np.float64)):
        assert_allclose(decayed(name, param), expected, rtol=1e-5, atol=1e-6)


@every_optimizer
def test_biases_do_not_decay(way: str, name: str) -> None:
    assert_array_equal(decayed(name, begin((7,))), decayed(name, begin((7,)), weight_decay=0.0))


@every_optimizer
def test_in_pieces_and_by_several_threads(monkeypatch: pytest.MonkeyPatch, way: str, name: str) -> None:
    expected = decayed(name, begin((10, 9)))
    monkeypatch.setattr(optimizers, "PIECE", 7)
    monkeypatch.setattr(optimizers, "MIN_PART", 30)
    with use_workers(3):
        assert_allclose(decayed(name, begin((10, 9))), expected, rtol=1e-6)


@every_optimizer
def test_of_named_rows_every_row_decays_all_the_same(way: str, name: str) -> None:
    rows = np.array([1, 4])
    found, expected = decayed(name, begin((6, 3)), rows), begin((6, 3))
    optimizer = OPTIMIZERS[name](lr=LR, weight_decay=DECAY)
    for k, grad in enumerate(gradients((6, 3))):
        optimizer.lr = LR if k < 2 else LR / 2
        grad[[0, 2, 3, 5]] = 0
        optimizer.update([expected], [grad])
    assert_allclose(found, expected, rtol=1e-6)
    shrunk = (1 - LR * DECAY) ** 2 * (1 - LR / 2 * DECAY) ** 2
    assert_allclose(found[0], begin((6, 3))[0] * shrunk, rtol=1e-5)


def test_of_sgd_it_is_l2_regularisation() -> None:
    found, expected, optimizer = decayed("sgd", begin((4, 5))), begin((4, 5)), SGD(LR)
    for k, grad in enumerate(gradients((4, 5))):
        optimizer.lr = LR if k < 2 else LR / 2
        optimizer.update([expected], [grad + DECAY * expected])
    assert_allclose(found, expected, rtol=1e-5)


def test_a_decay_that_would_change_signs_is_an_error() -> None:
    for decay in (-0.1, 10.0):
        with pytest.raises(ConfigError, match=r"must be in \[0, 1\), got 0.1 · "):
            SGD(0.1, weight_decay=decay)


def test_a_run_decays_its_matrices(tmp_path: Any) -> None:
    def after(name: str, decay: float) -> TrainingRun:
        run = new_run(tmp_path / name, weight_decay=decay, lr=0.01, iterations=1, clip_norm=0.0)
        run.train()
        return run

    plain, run = after("plain", 0.0), after("decayed", 2.0)
    begun = new_run(tmp_path / "begun").trainer.model.weights
    assert run.config.weight_decay == 2.0
    for weight_name, weight in run.trainer.model.weights.items():
        without, start = plain.trainer.model.weights[weight_name], begun[weight_name]
        share = 0.02 if weight.ndim > 1 else 0.0
        assert_allclose(weight, without - share * start, rtol=1e-4, atol=1e-7, err_msg=weight_name)


def test_it_is_an_option_from_zero_up() -> None:
    assert Config().weight_decay == 0.0
    with pytest.raises(ConfigError, match="weight_decay must be a number ≥ 0"):
        Config.of({"weight_decay": -1}, "here")
