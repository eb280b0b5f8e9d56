"""Activation penalties: the formulas one number at a time, and their gradients."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, ShapeError
from elman.layers.penalty import TimeActivationPenalty, TimePenalty, TimeTemporalPenalty

N, H = 2, 3
KINDS = {"activation": TimeActivationPenalty, "temporal": TimeTemporalPenalty}
every_kind = pytest.mark.parametrize("Kind", KINDS.values(), ids=KINDS)
every_T = pytest.mark.parametrize("T", [1, 2, 3, 7])


def draw(T: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((N, T, H))


def slow(Kind: type[TimePenalty], weight: float, hs: Any) -> float:
    """The formula of the paper, one number at a time."""
    T = hs.shape[1]
    squares: list[float] = []
    for n, t, j in np.ndindex(*hs.shape):
        if Kind is TimeActivationPenalty:
            squares.append(hs[n, t, j] ** 2)
        elif t + 1 < T:
            squares.append((hs[n, t, j] - hs[n, t + 1, j]) ** 2)
    return weight * sum(squares) / len(squares) if squares else 0.0


@every_kind
@every_T
def test_the_penalty_is_the_formula(Kind: type[TimePenalty], T: int) -> None:
    layer, hs = Kind(2.5), draw(T)
    assert layer.forward(hs) is hs
    assert layer.penalty() == pytest.approx(slow(Kind, 2.5, hs), rel=1e-12)


@every_kind
@every_T
@pytest.mark.parametrize("dout", [1.0, -3.0])
def test_the_gradient_is_that_of_the_formula(Kind: type[TimePenalty], T: int, dout: float) -> None:
    layer, hs, dhs = Kind(2.5), draw(T), draw(T, 1)
    layer.forward(hs)
    layer.dout = dout
    added = layer.backward(dhs) - dhs
    for place in np.ndindex(*hs.shape):
        step = np.zeros_like(hs)
        step[place] = 1e-5
        numeric = (slow(Kind, 2.5, hs + step) - slow(Kind, 2.5, hs - step)) / 2e-5
        assert added[place] == pytest.approx(dout * numeric, rel=1e-7, abs=1e-9)


@every_kind
@pytest.mark.parametrize("cut", [[0, 7], [0, 1, 2, 7], [0, 3, 6, 7]])
def test_spans_of_steps(Kind: type[TimePenalty], cut: list[int]) -> None:
    layer, whole, hs, dhs = Kind(2.5), Kind(2.5), draw(7), draw(7, 1)
    whole.forward(hs)
    layer.begin(hs)
    dxs = layer.begin_backward(dhs)
    for first, last in reversed(list(pairwise(cut))):
        layer.backward_steps(first, last)
    assert_allclose(dxs, whole.backward(dhs), rtol=1e-14)


@every_kind
def test_is_the_identity_when_not_training(Kind: type[TimePenalty]) -> None:
    layer, hs, dhs = Kind(2.5), draw(4), draw(4, 1)
    layer.train_flg = False
    assert layer.forward(hs) is hs
    assert layer.backward(dhs) is dhs


@every_kind
def test_the_input_is_not_changed(Kind: type[TimePenalty]) -> None:
    layer, hs, dhs = Kind(2.5), draw(4), draw(4, 1)
    layer.forward(hs)
    layer.backward(dhs)
    assert_array_equal(hs, draw(4))
    assert_array_equal(dhs, draw(4, 1))


@every_kind
def test_the_dtype_is_kept(Kind: type[TimePenalty]) -> None:
    layer, hs = Kind(2.5), draw(4).astype(np.float32)
    layer.forward(hs)
    assert layer.backward(hs).dtype == np.float32


@every_kind
@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_an_invalid_weight_is_an_error(Kind: type[TimePenalty], weight: float) -> None:
    with pytest.raises(ConfigError, match=f"must be finite and ≥ 0, got {weight}"):
        Kind(weight)


@every_kind
def test_a_gradient_of_another_shape_is_an_error(Kind: type[TimePenalty]) -> None:
    layer = Kind(1.0)
    layer.forward(draw(4))
    with pytest.raises(ShapeError, match=r"\(2, 4, 3\), got \(2, 3, 3\)"):
        layer.backward(draw(3))
