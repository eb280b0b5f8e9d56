"""The gradients that figures show are those of the model's own backward pass."""

import numpy as np
import pytest

from elman import RecurrentLM, TimeRNN
from elman.errors import ConfigError
from elman.figures.gradients import gradient_norms, step_gradients


def _model(cell: str, wordvec: int = 5, layers: int = 1) -> RecurrentLM:
    rng = np.random.default_rng(0)
    return RecurrentLM(
        7, wordvec, 4, cell=cell, layers=layers, rng=rng, dtype=np.float64, embedding_scale=1.0
    )


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("wordvec", [0, 5])
def test_norms_are_those_of_the_backward_pass(cell: str, wordvec: int) -> None:
    model = _model(cell, wordvec)
    ids = np.array([0, 3, 1, 6, 2, 5])
    norms = gradient_norms(model, ids, 5)
    W, _ = model.loss_weights
    for t in range(4):
        model.reset_state()
        model.forward(ids[None, : t + 1], ids[None, 1 : t + 2])  # the steps up to t
        state = model.feed(ids[None, : t + 1], model.start(1))
        error = np.exp(model.next_log_probs(state)[0]) - np.eye(7)[ids[t + 1]]
        model.forward(
            ids[None, t + 1 : 5], ids[None, t + 2 :]
        )  # the rest: its loss is a mean over 4 - t steps
        model.backward(dout=(4 - t) / 5)
        np.testing.assert_allclose(norms[t], np.linalg.norm(error @ W.T / 5 + model.rnn_layer.dh), rtol=1e-9)


def test_blocks_are_cut() -> None:
    model = _model("rnn")
    ids = np.array([0, 3, 1, 6, 2, 5, 4])
    whole, cut = gradient_norms(model, ids, 6), gradient_norms(model, ids, 3)
    np.testing.assert_allclose(whole[3:], cut[3:])
    assert (whole[:3] != cut[:3]).all()


def test_a_model_of_two_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match="one recurrent layer"):
        gradient_norms(_model("rnn", layers=2), np.array([0, 1, 2]), 2)


def test_steps_are_those_of_the_layer() -> None:
    rng = np.random.default_rng(0)
    layer = TimeRNN(rng.standard_normal((3, 4)), rng.standard_normal((4, 4)), rng.standard_normal(4))
    xs, dhs = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 5, 4))
    steps = step_gradients(layer, xs, dhs)
    layer.forward(xs)
    np.testing.assert_allclose(np.stack(steps["inputs"], axis=1), layer.backward(dhs))
    np.testing.assert_allclose(steps["flowing"][0], layer.dh)
    np.testing.assert_allclose(steps["arriving"][1], dhs[:, 1] + steps["flowing"][2])
