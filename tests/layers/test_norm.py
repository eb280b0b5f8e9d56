"""Root mean square normalisation."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import oracle
from elman.errors import ShapeError
from elman.gradcheck import check_gradients
from elman.layers import TimeRMSNorm

N, T, D = 2, 5, 3


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def test_equals_the_oracle() -> None:
    xs, gain = draw(N, T, D), draw(D, seed=1)
    assert_allclose(TimeRMSNorm(gain).forward(xs), oracle.rms_norm(xs, gain), rtol=1e-12)


def test_every_row_has_a_mean_square_of_one_whatever_its_scale() -> None:
    xs = draw(N, T, D) * 10.0 ** np.arange(-1, 4)[:, None]
    ns = TimeRMSNorm(np.ones(D)).forward(xs)
    assert_allclose((ns**2).mean(axis=2), 1, rtol=1e-3)


def test_a_row_of_zeros_stays_one() -> None:
    norm = TimeRMSNorm(draw(D))
    assert (norm.forward(np.zeros((N, T, D))) == 0).all()
    assert np.isfinite(norm.backward(draw(N, T, D))).all()


def test_gradients_agree_with_differences() -> None:
    report = check_gradients(TimeRMSNorm(draw(D, seed=1)), draw(N, T, D))
    assert report.passed, report


def test_what_reaches_the_input_besides_is_added() -> None:
    norm, xs, dns, besides = TimeRMSNorm(draw(D)), draw(N, T, D, seed=1), draw(N, T, D, seed=2), draw(N, T, D)
    norm.forward(xs)
    alone = norm.backward(dns).copy()
    both = norm.begin_backward(dns, besides)
    for span in ((3, T), (0, 3)):
        norm.backward_steps(*span)
    assert_allclose(both, alone + besides, rtol=1e-12)


def test_the_width_is_checked() -> None:
    with pytest.raises(ShapeError, match=r"xs must be \(N, T, 3\), got \(2, 5, 4\)"):
        TimeRMSNorm(np.ones(D)).forward(draw(N, T, 4))
