"""What is particular to the simple RNN; what all recurrent layers share is in test_recurrent.py."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.layers import RNN, TimeRNN


def test_one_unit_by_hand() -> None:
    """h1 = tanh(0.5·1 + 0.1), h2 = tanh(0.5·2 + 2·h1 + 0.1)."""
    layer = TimeRNN(np.array([[0.5]]), np.array([[2.0]]), np.array([0.1]))
    h1 = np.tanh(0.6)
    h2 = np.tanh(1.1 + 2 * h1)
    assert_allclose(layer.forward(np.array([[[1.0], [2.0]]])), [[[h1], [h2]]])

    layer.backward(np.array([[[0.0], [1.0]]]))  # the loss is h2
    dz2 = 1 - h2**2
    dz1 = dz2 * 2 * (1 - h1**2)
    assert_allclose(layer.grads[0], [[dz1 * 1 + dz2 * 2]])
    assert_allclose(layer.grads[1], [[dz2 * h1]])
    assert_allclose(layer.grads[2], [dz1 + dz2])
    assert_allclose(layer.dh, [[dz1 * 2]])


def test_the_cell_equals_the_equation() -> None:
    rng = np.random.default_rng(0)
    Wx, Wh, b, x, h = (rng.standard_normal(shape) for shape in ((3, 4), (4, 4), (4,), (2, 3), (2, 4)))
    assert_allclose(RNN(Wx, Wh, b).forward(x, h), np.tanh(h @ Wh + x @ Wx + b))


@pytest.mark.parametrize(("size", "grows"), [(0.5, False), (2.0, True)])
def test_the_gradient_shrinks_or_blows_up_on_its_way_back(size: float, grows: bool) -> None:
    """With h = 0 all the way tanh' is 1, so that T steps multiply the gradient by Wh T times."""
    T, H = 10, 3
    layer = TimeRNN(np.zeros((1, H)), size * np.eye(H), np.zeros(H), stateful=True)
    layer.forward(np.zeros((1, T, 1)))
    dhs = np.zeros((1, T, H))
    dhs[:, -1] = 1
    layer.backward(dhs)
    assert_allclose(layer.dh, np.full((1, H), size**T))
    assert (layer.dh > 1).all() == grows
