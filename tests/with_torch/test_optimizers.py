"""Optimizers against those of PyTorch, and on its tensors."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.training.optimizers import OPTIMIZERS, SGD, AdaGrad, Adam, Momentum, RMSProp
from elman.training.step import global_norm, norm_scale

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch

STEPS = 20


def gradients(seed: int = 0) -> list[Any]:
    return list(np.random.default_rng(seed).standard_normal((STEPS, 4, 3)))


def begin() -> Any:
    return np.random.default_rng(9).standard_normal((4, 3))


def by_torch(make: Any) -> Any:
    """The parameter after all steps of the optimizer that ``make`` makes of a list of parameters."""
    param = torch.nn.Parameter(torch.tensor(begin()))
    optimizer = make([param])
    for grad in gradients():
        param.grad = torch.tensor(grad)
        optimizer.step()
    return param.detach().numpy()


def by_elman(optimizer: Any) -> Any:
    param = begin()
    for grad in gradients():
        optimizer.update([param], [grad])
    return param


@pytest.mark.parametrize(
    ("ours", "theirs", "rtol"),
    [
        (SGD(0.1), lambda p: torch.optim.SGD(p, lr=0.1), 1e-12),
        # PyTorch's velocity is of gradients, ours of steps: the same while the rate is constant
        (Momentum(0.1, 0.9), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), 1e-12),
        # PyTorch adds eps outside the root: without eps the two are one
        (AdaGrad(0.1, eps=0.0), lambda p: torch.optim.Adagrad(p, lr=0.1, eps=0.0), 1e-12),
        (RMSProp(0.1, 0.9, eps=0.0), lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.9, eps=0.0), 1e-12),
        (Adam(0.1), lambda p: torch.optim.Adam(p, lr=0.1), 1e-5),
        (
            Adam(0.1, eps=0.0, weight_decay=0.3),
            lambda p: torch.optim.AdamW(p, lr=0.1, eps=0.0, weight_decay=0.3),
            1e-12,
        ),
        (
            SGD(0.1, weight_decay=0.3),
            lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.3),
            1e-12,
        ),
        (
            Adam(0.1, 0.8, 0.9, eps=0.0),
            lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.9), eps=0.0),
            1e-12,
        ),
    ],
    ids=["sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw", "sgd with l2", "adam without eps"],
)
def test_takes_the_steps_of_pytorch(ours: Any, theirs: Any, rtol: float) -> None:
    assert_allclose(by_elman(ours), by_torch(theirs), rtol=rtol)


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_tensors_as_it_updates_arrays(name: str, decay: float) -> None:
    param, rows = torch.tensor(begin()), torch.tensor([0, 2])
    optimizer = OPTIMIZERS[name](lr=0.1, weight_decay=decay)
    array, other = begin(), OPTIMIZERS[name](lr=0.1, weight_decay=decay)
    for grad in gradients():
        grad[[1, 3]] = 0
        optimizer.update([param], [torch.tensor(grad)], [rows])
        other.update([array], [grad])
    assert_allclose(param.numpy(), array, rtol=1e-12)


@pytest.mark.parametrize("rows", [None, [0, 2]])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_clips_tensors_as_it_clips_arrays(name: str, rows: list[int] | None) -> None:
    grad = gradients()[0]
    grad[[1, 3]] = 0
    names = None if rows is None else torch.tensor(rows)
    norm = global_norm([torch.tensor(grad)], [names])
    assert norm == pytest.approx(float(np.linalg.norm(grad)))
    clipping = {"scale": norm_scale(norm, norm / 2), "limit": 0.1}
    param, array = torch.tensor(begin()), begin()
    OPTIMIZERS[name](lr=0.1).update([param], [torch.tensor(grad)], [names], **clipping)
    OPTIMIZERS[name](lr=0.1).update([array], [grad], **clipping)
    assert_allclose(param.numpy(), array, rtol=1e-12)


def test_clips_by_norm_as_pytorch_does() -> None:
    param = torch.nn.Parameter(torch.tensor(begin()))
    grad, array = gradients()[0], begin()
    param.grad = torch.tensor(grad)
    torch.nn.utils.clip_grad_norm_([param], 0.5)
    torch.optim.SGD([param], 0.1).step()
    SGD(lr=0.1).update([array], [grad], scale=norm_scale(global_norm([grad], [None]), 0.5))
    assert_allclose(array, param.detach().numpy(), rtol=1e-12)
