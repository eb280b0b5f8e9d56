"""The Mogrifier LSTM agrees with the paper's equations written down for PyTorch's autograd, block after block."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.layers import TimeMogrifierLSTM
from elman.layers.mogrifier import round_names

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch

N, D, H = 3, 5, 4


def step(x: Any, h: Any, c: Any, w: dict[str, Any], r: int) -> tuple[Any, Any]:
    for k in range(1, r + 1):
        if k % 2:
            x = 2 * torch.sigmoid(h @ w[f"Q{k // 2 + 1}"]) * x
        else:
            h = 2 * torch.sigmoid(x @ w[f"R{k // 2}"]) * h
    i, f, g, o = (x @ w["Wx"] + h @ w["Wh"] + w["b"]).chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@pytest.mark.parametrize("T", [1, 2, 6])
@pytest.mark.parametrize("r", [2, 4, 5])
def test_outputs_states_and_gradients_are_those_of_autograd(r: int, T: int) -> None:
    rng = np.random.default_rng(T)
    shapes = {"Wx": (D, 4 * H), "Wh": (H, 4 * H), "b": (4 * H,)}
    shapes |= {name: (H, D) if name.startswith("Q") else (D, H) for name in round_names(r)}
    values = {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}
    ours = TimeMogrifierLSTM(**values, stateful=True)
    theirs = {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}
    h, c = (torch.zeros(N, H, dtype=torch.float64) for _ in range(2))
    for _ in range(2):
        xs, dhs = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, H))
        inputs = torch.tensor(xs, requires_grad=True)
        h, c = h.detach().requires_grad_(), c.detach().requires_grad_()
        incoming = h, c
        hs = []
        for t in range(T):
            h, c = step(inputs[:, t], h, c, theirs, r)
            hs.append(h)
        for weight in theirs.values():
            weight.grad = None
        torch.stack(hs, 1).backward(torch.tensor(dhs))

        pairs = [(ours.forward(xs), torch.stack(hs, 1)), (ours.h, h), (ours.c, c)]
        pairs += [(ours.backward(dhs), inputs.grad)]
        pairs += [(ours.dh, incoming[0].grad), (ours.dc, incoming[1].grad)]
        in_order = ["Wx", "Wh", "b", *round_names(r)]
        pairs += [(grad, theirs[name].grad) for name, grad in zip(in_order, ours.grads, strict=True)]
        for mine, other in pairs:
            assert_allclose(mine, other.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_the_layer_computes_the_same_on_tensors() -> None:
    rng = np.random.default_rng(0)
    plan = TimeMogrifierLSTM.plan(D, H)
    values = {name: 0.5 * rng.standard_normal(weight.shape) for name, weight in plan.items()}
    on_arrays = TimeMogrifierLSTM(**values, stateful=True)
    on_tensors = TimeMogrifierLSTM(
        **{name: torch.tensor(value) for name, value in values.items()}, stateful=True
    )
    for _ in range(2):
        xs, dhs = rng.standard_normal((N, 6, D)), rng.standard_normal((N, 6, H))
        assert_allclose(on_tensors.forward(torch.tensor(xs)), on_arrays.forward(xs), rtol=1e-10)
        assert_allclose(
            on_tensors.backward(torch.tensor(dhs)), on_arrays.backward(dhs), rtol=1e-9, atol=1e-13
        )
        for ours, theirs in zip(on_tensors.grads, on_arrays.grads, strict=True):
            assert_allclose(ours, theirs, rtol=1e-9, atol=1e-13)
