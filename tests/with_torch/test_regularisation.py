"""Regularised training on torch tensors: the numbers of NumPy, and those of the step that a device does alone."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.backend import Backend
from elman.models.recurrent import RecurrentLM
from elman.models.regularisation import Regularisation
from elman.training import trainer as trainer_module
from elman.training.optimizers import SGD
from elman.training.progress import BlockDone
from elman.training.step import DeviceStep
from elman.training.trainer import RnnlmTrainer
from support.tiny import blocks_of

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch

V, N, T = 30, 3, 5
IDS = np.random.default_rng(0).integers(0, V, 200)
ALL = Regularisation("block", 0.2, 0.5, 0.3, 0.4, 2.0, 1.5)
every_model = pytest.mark.parametrize(
    ("cell", "D", "tie"), [("rnn", 6, False), ("lstm", 8, True), ("gru", 6, False), ("lstm", 0, False)]
)


def lm(cell: str, D: int, tie: bool, backend: Backend, regularisation: Regularisation = ALL) -> RecurrentLM:
    options: Any = {"weight_scale": 0.3, "init": "orthogonal", "backend": backend}
    if not D:
        options["regularisation"] = Regularisation("block", None, 0.5, 0.3, 0.4, 2.0, 1.5)
    else:
        options["regularisation"] = regularisation
    return RecurrentLM(V, D, 8, cell, 2, 0.3, tie, np.random.default_rng(1), **options)


@every_model
def test_losses_and_gradients_are_those_of_numpy(cell: str, D: int, tie: bool) -> None:
    ours, theirs = (lm(cell, D, tie, Backend(library)) for library in ("torch", "numpy"))
    for xs, ts in zip(blocks_of(V, N, T, 3), blocks_of(V, N, T, 3, seed=1), strict=True):
        assert ours.forward(xs, ts) == pytest.approx(theirs.forward(xs, ts), rel=1e-5)
        ours.backward(2.0)
        theirs.backward(2.0)
        for grad, expected in zip(ours.grads, theirs.grads, strict=True):
            assert_allclose(grad.numpy(), expected, rtol=1e-4, atol=2e-6)
    assert ours.embedding.dropout is not None
    assert theirs.embedding.dropout is not None
    assert_array_equal(ours.embedding.dropout._mask.numpy(), theirs.embedding.dropout._mask)


def fit(model: RecurrentLM) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []

    def watch(event: Any) -> None:
        if isinstance(event, BlockDone):
            found.append((event.loss_nats, event.grad_norm))

    RnnlmTrainer(model, SGD(0.1)).fit(IDS[:-1], IDS[1:], 2, N, T, 0.5, fresh_at=3, on_event=watch)
    return found


@every_model
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_step_that_the_device_does_alone_has_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch, cell: str, D: int, tie: bool, precision: Any
) -> None:
    models = [lm(cell, D, tie, Backend("torch", precision)) for _ in range(2)]
    expected = fit(models[0])
    monkeypatch.setattr(trainer_module, "training_step", DeviceStep)
    assert_allclose(fit(models[1]), expected, rtol=2e-5 if precision == "float32" else 1e-3)
    assert models[0].dropout_rng.random() == models[1].dropout_rng.random()


def test_the_masks_stay_where_they_are() -> None:
    """A recorded step reads them at the same addresses every time."""
    model = lm("lstm", 6, False, Backend("torch"))
    step = DeviceStep(model, SGD(0.1))
    block = IDS[: N * T].reshape(N, T)
    places: list[list[int]] = []
    values: list[list[Any]] = []
    for _ in range(3):
        step(block, block)
        masks = [rnn.dropout._mask for rnn in model.rnn_layers if rnn.dropout is not None]
        masks += [layer._mask for layer in model.layers if hasattr(layer, "ratio")]
        masks.append(model.embedding.dropout._mask)  # type: ignore[union-attr]
        places.append([mask.data_ptr() for mask in masks])
        values.append([mask.clone() for mask in masks])
    assert len(places[0]) == 6
    assert places[0] == places[1] == places[2]
    assert all((a != b).any() for a, b in zip(values[1], values[2], strict=True))
