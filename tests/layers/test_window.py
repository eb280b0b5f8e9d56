"""Windows on a sequence, against plain loops over sequences, steps and places."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, ShapeError
from elman.gradcheck import check_gradients
from elman.layers.affine import TimeTanh
from elman.layers.window import TimePaddedEmbedding, TimeWindowConcat, TimeWindowMean

N, D = 3, 2
SIZES = [(k, T) for k in (1, 2, 5) for T in (1, 2, 7)]


def sequence(k: int, T: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((N, k - 1 + T, D))


@pytest.mark.parametrize(("k", "T"), SIZES)
def test_the_mean_of_every_window(k: int, T: int) -> None:
    xs = sequence(k, T)
    means = TimeWindowMean(k).forward(xs)
    assert means.shape == (N, T, D)
    for n in range(N):
        for t in range(T):
            assert_allclose(means[n, t], sum(xs[n, t + place] for place in range(k)) / k)


@pytest.mark.parametrize(("k", "T"), SIZES)
def test_the_concatenation_of_every_window_has_the_oldest_first(k: int, T: int) -> None:
    xs = sequence(k, T)
    windows = TimeWindowConcat(k).forward(xs)
    assert windows.shape == (N, T, k * D)
    for n in range(N):
        for t in range(T):
            assert_array_equal(windows[n, t], np.concatenate([xs[n, t + place] for place in range(k)]))


@pytest.mark.parametrize("kind", [TimeWindowMean, TimeWindowConcat])
@pytest.mark.parametrize(("k", "T"), SIZES)
def test_gradients(kind: Any, k: int, T: int) -> None:
    assert check_gradients(kind(k), sequence(k, T)).passed


def test_the_gradient_of_a_tanh() -> None:
    xs = sequence(1, 4)
    assert_allclose(TimeTanh().forward(xs), np.tanh(xs))
    assert check_gradients(TimeTanh(), xs).passed


@pytest.mark.parametrize("kind", [TimeWindowMean, TimeWindowConcat])
def test_invalid_sizes_and_shapes_are_errors(kind: Any) -> None:
    with pytest.raises(ConfigError, match="the window size must be ≥ 1, got 0"):
        kind(0)
    layer = kind(4)
    for wrong in (np.zeros((N, 2, D)), np.zeros((N, 5))):
        with pytest.raises(ShapeError, match=r"xs must be \(N, 3 \+ T, D\)"):
            layer.forward(wrong)
    layer.forward(sequence(4, 2))
    with pytest.raises(ShapeError, match="must have the output's shape"):
        layer.backward(np.zeros((N, 3, D)))


def test_a_missing_word_is_a_vector_of_zeros_without_a_gradient() -> None:
    W = np.random.default_rng(0).standard_normal((4, D)) + 5
    layer = TimePaddedEmbedding(W)
    ids = np.array([[-1, -1, 0], [-1, 3, 1]])
    vectors = layer.forward(ids)
    expected = np.array([[W[i] if i >= 0 else np.zeros(D) for i in row] for row in ids])
    assert_array_equal(vectors, expected)
    dout = np.ones((2, 3, D))
    layer.backward(dout)
    assert_array_equal(layer.grads[0], np.array([1, 1, 0, 1])[:, None] * np.ones(D))
    layer.forward(np.abs(ids))  # words everywhere: what was absent before is not any more
    layer.backward(dout)
    assert_array_equal(layer.grads[0], np.array([1, 4, 0, 1])[:, None] * np.ones(D))
