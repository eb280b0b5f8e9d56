"""The gradients that figures of a TimeRNN show are those of its own backward pass."""

import numpy as np

from elman import TimeRNN
from elman.figures.gradients import step_gradients


def test_steps_are_those_of_the_layer() -> None:
    rng = np.random.default_rng(0)
    layer = TimeRNN(rng.standard_normal((3, 4)), rng.standard_normal((4, 4)), rng.standard_normal(4))
    xs, dhs = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 5, 4))
    steps = step_gradients(layer, xs, dhs)
    layer.forward(xs)
    np.testing.assert_allclose(np.stack(steps["inputs"], axis=1), layer.backward(dhs))
    np.testing.assert_allclose(steps["flowing"][0], layer.dh)
    np.testing.assert_allclose(steps["arriving"][1], dhs[:, 1] + steps["flowing"][2])
