"""What is particular to the LSTM; what all recurrent layers share is in test_recurrent.py."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.layers import TimeLSTM
from elman.layers.lstm import sigmoid

H = 4
OPEN, SHUT = 1000.0, -1000.0


def layer_with_gates(i: float, f: float, g: float, o: float) -> TimeLSTM:
    """Wx and Wh are zero: the biases alone set the gates."""
    return TimeLSTM(np.zeros((3, 4 * H)), np.zeros((H, 4 * H)), np.repeat([i, f, g, o], H), stateful=True)


def test_an_open_forget_gate_keeps_c_and_its_gradient_for_ever() -> None:
    layer = layer_with_gates(SHUT, OPEN, 1.0, OPEN)
    c = np.linspace(-1, 1, 2 * H).reshape(2, H)
    layer.set_state(np.zeros((2, H)), c)
    hs = layer.forward(np.zeros((2, 50, 3)))
    assert_array_equal(layer.c, c)
    assert_allclose(hs, np.repeat(np.tanh(c)[:, None], 50, axis=1))

    dhs = np.zeros((2, 50, H))
    dhs[:, -1] = 1
    layer.backward(dhs)
    assert_allclose(layer.dc, 1 - np.tanh(c) ** 2)


@pytest.mark.parametrize(
    ("gates", "c_next", "opened"),
    [
        ((OPEN, SHUT, OPEN, OPEN), 1.0, True),
        ((SHUT, OPEN, OPEN, OPEN), 0.5, True),
        ((OPEN, OPEN, SHUT, OPEN), -0.5, True),
        ((OPEN, OPEN, OPEN, SHUT), 1.5, False),
    ],
    ids=["forget shut", "input shut", "candidate -1", "output shut"],
)
def test_the_gates_stand_in_the_order_i_f_g_o(
    gates: tuple[float, float, float, float], c_next: float, opened: bool
) -> None:
    """Each gate but one is fully open, g = ±1, and c = 0.5 comes in; biases of 1000 do not overflow."""
    layer = layer_with_gates(*gates)
    layer.set_state(np.zeros((1, H)), np.full((1, H), 0.5))
    hs = layer.forward(np.zeros((1, 1, 3)))
    assert_allclose(layer.c, np.full((1, H), c_next))
    assert_allclose(hs, np.full((1, 1, H), np.tanh(c_next) if opened else 0))


def test_set_state_of_h_alone_means_a_c_of_zeros() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape) for shape in ((3, 4 * H), (H, 4 * H), (4 * H,))]
    xs, h = rng.standard_normal((2, 3, 3)), rng.standard_normal((2, H))
    layer, other = TimeLSTM(*weights, stateful=True), TimeLSTM(*weights, stateful=True)
    layer.forward(xs)
    layer.set_state(h)
    other.set_state(h, np.zeros((2, H)))
    assert_array_equal(layer.forward(xs), other.forward(xs))


def test_sigmoid_does_not_overflow() -> None:
    assert_allclose(sigmoid(np.array([-1e4, -1.0, 0.0, 1e4])), [0, 1 / (1 + np.e), 0.5, 1])
