"""What is particular to the GRU; what all recurrent layers share is in test_recurrent.py."""

import numpy as np
from numpy.testing import assert_allclose

from elman.layers import TimeGRU
from support.recurrent import KINDS

H = 4
OPEN, SHUT = 1000.0, -1000.0


def layer_with_gates(r: float, z: float, n: float) -> TimeGRU:
    """Wx is zero and Wh the identity for n alone: biases of ±1000 set the gates, and do not overflow."""
    Wh = np.concatenate([np.zeros((H, H)), np.zeros((H, H)), np.eye(H)], axis=1)
    b_h = np.full(H, 0.25)
    return TimeGRU(np.zeros((3, 3 * H)), Wh, np.repeat([r, z, n], H), b_h, stateful=True)


def after_one_step(layer: TimeGRU, h: float) -> float:
    layer.set_state(np.full((1, H), h))
    hs = layer.forward(np.zeros((1, 1, 3)))
    assert np.ptp(hs) == 0
    return float(hs[0, 0, 0])


def test_the_gates_stand_in_the_order_r_z_n() -> None:
    """h' = (1 - z)·tanh(b_n + r·(h + b_h)) + z·h with h = 0.5, b_h = 0.25."""
    assert_allclose(after_one_step(layer_with_gates(OPEN, OPEN, 0.1), 0.5), 0.5)
    assert_allclose(after_one_step(layer_with_gates(OPEN, SHUT, 0.1), 0.5), np.tanh(0.1 + 0.5 + 0.25))
    assert_allclose(after_one_step(layer_with_gates(SHUT, SHUT, 0.1), 0.5), np.tanh(0.1))
    assert_allclose(
        after_one_step(layer_with_gates(0.0, 0.0, 0.1), 0.5), 0.5 * np.tanh(0.1 + 0.5 * 0.75) + 0.25
    )


def test_an_open_update_gate_keeps_h_and_its_gradient_for_ever() -> None:
    layer = layer_with_gates(0.0, OPEN, 0.0)
    h = np.linspace(-1, 1, 2 * H).reshape(2, H)
    layer.set_state(h)
    layer.forward(np.zeros((2, 50, 3)))
    dhs = np.zeros((2, 50, H))
    dhs[:, -1] = 1
    layer.backward(dhs)
    assert_allclose(layer.h, h)
    assert_allclose(layer.dh, np.ones((2, H)))


def test_leaving_out_b_h_equals_zeros() -> None:
    rng = np.random.default_rng(0)
    weights = KINDS["gru"].weights(rng)
    without, zeros = TimeGRU(*weights), TimeGRU(*weights, np.zeros(4))
    xs, dhs = rng.standard_normal((2, 3, 3)), rng.standard_normal((2, 3, 4))
    assert_allclose(without.forward(xs), zeros.forward(xs))
    assert_allclose(without.backward(dhs), zeros.backward(dhs))
    assert len(without.params) == len(without.grads) == 3
    for ours, theirs in zip(without.grads, zeros.grads[:3], strict=True):
        assert_allclose(ours, theirs)
