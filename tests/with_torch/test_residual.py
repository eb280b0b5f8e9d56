"""Residual blocks: agreement with PyTorch's autograd, and training on its tensors."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.backend import Backend
from elman.models.recurrent import RecurrentLM
from elman.training.optimizers import Adam
from elman.training.step import DeviceStep, TrainingStep
from support.residual import block_of, drawn
from support.tiny import blocks_of

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch

N, T, D, H, M, V = 3, 4, 5, 6, 7, 9


def tensor(values: Any) -> Any:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def straightforward(xs: Any, w: dict[str, Any], h: Any) -> tuple[Any, Any]:
    """A block with the minGRU and an MLP, step by step; return ys and the last state of the cell."""
    silu, norm = torch.nn.functional.silu, torch.nn.functional.rms_norm
    ns = norm(xs, (D,), w["gain"], 1e-6)
    hs = []
    for t in range(xs.shape[1]):
        zz, zn = (ns[:, t] @ w["cell.Wx"] + w["cell.b"]).chunk(2, 1)
        z, candidate = torch.sigmoid(zz), torch.where(zn >= 0, zn + 0.5, torch.sigmoid(zn))
        h = (1 - z) * h + z * candidate
        hs.append(h)
    ys = xs + (torch.stack(hs, 1) * silu(ns @ w["Wg"])) @ w["Wo"]
    ms = norm(ys, (D,), w["mlp_gain"], 1e-6)
    ys = ys + (silu(ms @ w["W1"]) * (ms @ w["W2"])) @ w["W3"]
    return norm(ys, (D,), w["last_gain"], 1e-6), h


def test_the_second_block_agrees_with_autograd() -> None:
    weights = drawn("mingru", D, H, M)
    rng = np.random.default_rng(0)
    xs, before, dys = rng.standard_normal((3, N, T, D))
    block = block_of("mingru", weights)
    block.forward(before)
    w, x = {name: tensor(weight) for name, weight in weights.items()}, tensor(xs)
    with torch.no_grad():
        _, state = straightforward(torch.tensor(before), w, torch.zeros(N, H, dtype=torch.float64))
    state.requires_grad_()
    ys, _ = straightforward(x, w, state)
    ys.backward(torch.tensor(dys))
    assert_allclose(block.forward(xs), ys.detach(), rtol=1e-9)
    assert_allclose(block.backward(dys), x.grad, rtol=1e-9, atol=1e-12)
    assert_allclose(block.dcell_h, state.grad, rtol=1e-9, atol=1e-12)  # type: ignore[attr-defined]
    names = {id(weight): name for name, weight in weights.items()}
    for param, grad in zip(block.params, block.grads, strict=True):
        assert_allclose(grad, w[names[id(param)]].grad, rtol=1e-9, atol=1e-12)


def lm(backend: Backend, dropout: float = 0.0) -> RecurrentLM:
    rng = np.random.default_rng(0)
    return RecurrentLM(
        V, D, H, "lstm", 2, dropout, rng=rng, weight_scale=0.3, block="residual", mlp=M, backend=backend
    )


@pytest.mark.parametrize("Step", [TrainingStep, DeviceStep])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_tensors_train_as_arrays_do(Step: Any, dropout: float) -> None:
    arrays, tensors = lm(Backend(), dropout), lm(Backend("torch"), dropout)
    steps = TrainingStep(arrays, Adam(0.01), 1.0), Step(tensors, Adam(0.01), 1.0)
    for xs, ts in zip(blocks_of(V, N, T, 3), blocks_of(V, N, T, 3, seed=1), strict=True):
        ours, theirs = (step(xs, ts) for step in steps)
        assert_allclose(ours, theirs, rtol=1e-4)
    for p, q in zip(arrays.params, tensors.params, strict=True):
        assert_allclose(p, q, rtol=1e-3, atol=1e-5)


def test_bf16_products_are_close() -> None:
    exact, rounded = lm(Backend("torch")), lm(Backend("torch", precision="bf16"))
    xs, ts = blocks_of(V, N, T, 2)
    assert exact.forward(xs, ts) == pytest.approx(rounded.forward(xs, ts), rel=0.02)
    exact.backward()
    rounded.backward()
    ours, theirs = (torch.cat([grad.reshape(-1) for grad in model.grads]) for model in (rounded, exact))
    assert float((ours - theirs).norm() / theirs.norm()) < 0.1
