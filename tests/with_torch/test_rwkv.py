"""RWKV written by hand agrees with PyTorch's autograd, and with the authors' program, the package `rwkv`."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.formats.rwkv import from_rwkv
from elman.formats.torch_zip import read_torch_zip
from support.blocks import BLOCKS, Stack
from support.rwkv import checkpoint

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
F = torch.nn.functional
pytestmark = pytest.mark.torch
needs_package = pytest.mark.skipif(importlib.util.find_spec("rwkv") is None, reason="needs the package rwkv")


def tensor(values: Any) -> Any:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def norm(x: Any, p: dict[str, Any], name: str, groups: int = 1, eps: float = 1e-5) -> Any:
    rows = x.reshape(-1, x.shape[-1])
    return F.group_norm(rows, groups, p[f"{name}_gain"], p[f"{name}_bias"], eps).reshape(x.shape)


def shifted(x: Any, before: Any) -> Any:
    return torch.cat([before[:, None], x[:, :-1]], 1) - x


def rwkv7(x: Any, p: dict[str, Any], states: dict[str, Any], first: Any) -> tuple[Any, Any]:
    """x (N, T, D) -> the output and the values; the states are replaced."""
    N, T, D = x.shape
    heads, d = p["r_k"].shape
    x = norm(x, p, "ln0") if "ln0_gain" in p else x
    n = norm(x, p, "ln1")
    change, states["x_att"] = shifted(n, states["x_att"]), n[:, -1]
    mixed = {c: n + change * p[f"x_{c}"] for c in "rwkvag"}
    r, k, v = mixed["r"] @ p["Wr"], mixed["k"] @ p["Wk"], mixed["v"] @ p["Wv"]
    w = torch.exp(-(F.softplus(-(p["w0"] + (mixed["w"] @ p["w1"]).tanh() @ p["w2"])) + 0.5).neg().exp())
    a = (p["a0"] + mixed["a"] @ p["a1"] @ p["a2"]).sigmoid()
    g = (mixed["g"] @ p["g1"]).sigmoid() @ p["g2"]
    if first is not None:
        v = torch.lerp(v, first, (p["v0"] + mixed["v"] @ p["v1"] @ p["v2"]).sigmoid())
    kappa = F.normalize((k * p["k_k"]).view(N, T, heads, d), dim=-1)
    k = (k * (1 + (a - 1) * p["k_a"])).view(N, T, heads, d)
    r, w, a, of_v = (each.view(N, T, heads, d) for each in (r, w, a, v))
    S, ys = states["S"].view(N, heads, d, d), []
    for t in range(T):
        removal = torch.einsum("nhi,nhj->nhij", -kappa[:, t], kappa[:, t] * a[:, t])
        S = S * w[:, t, :, None, :] + S @ removal + torch.einsum("nhi,nhj->nhij", of_v[:, t], k[:, t])
        ys.append(torch.einsum("nhij,nhj->nhi", S, r[:, t]))
    states["S"] = S.reshape(N, -1)
    y = norm(torch.stack(ys, 1).reshape(N, T, D), p, "group", heads, 64e-5)
    y = y + ((r * k * p["r_k"]).sum(-1, keepdim=True) * of_v).reshape(N, T, D)
    return channel_mix(x + (y * g) @ p["Wo"], p, states), v


def channel_mix(x: Any, p: dict[str, Any], states: dict[str, Any]) -> Any:
    n = norm(x, p, "ln2")
    change, states["x_ffn"] = shifted(n, states["x_ffn"]), n[:, -1]
    added = ((n + change * p["ffn_k"]) @ p["ffn_Wk"]).relu().square() @ p["ffn_Wv"]
    if "ffn_Wr" in p:
        added = ((n + change * p["ffn_r"]) @ p["ffn_Wr"]).sigmoid() * added
    x = x + added
    return norm(x, p, "last") if "last_gain" in p else x


def rwkv4(x: Any, p: dict[str, Any], states: dict[str, Any], first: Any) -> tuple[Any, Any]:
    """x (N, T, D) -> the output and no values; the states are replaced."""
    x = norm(x, p, "ln0") if "ln0_gain" in p else x
    n = norm(x, p, "ln1")
    change, states["x_att"] = shifted(n, states["x_att"]), n[:, -1]
    r, k, v = ((n + change * p[f"x_{c}"]) @ p[f"W{c}"] for c in "rkv")
    scale = states["exponent"].exp()
    A, B, ys = states["numerator"] * scale, states["denominator"] * scale, []
    for t in range(x.shape[1]):
        own, later = (p["first"] + k[:, t]).exp(), k[:, t].exp()
        ys.append((A + own * v[:, t]) / (B + own))
        kept = (-p["decay"].exp()).exp()
        A, B = kept * A + later * v[:, t], kept * B + later
    states["numerator"], states["denominator"], states["exponent"] = A, B, torch.zeros_like(A)
    return channel_mix(x + (r.sigmoid() * torch.stack(ys, 1)) @ p["Wo"], p, states), None


FORMS = {"rwkv4": rwkv4, "rwkv7": rwkv7}


@pytest.mark.parametrize("cell", BLOCKS)
def test_values_and_gradients_are_those_of_autograd(cell: str) -> None:
    N, T, D, layers = 2, 20, 8, 3
    rng = np.random.default_rng(0)
    weights = BLOCKS[cell].weights(rng, D, layers)
    stack = Stack.of(BLOCKS[cell], weights)
    theirs = [{name: tensor(weight) for name, weight in each.items()} for each in weights]
    states = [
        {name: tensor(np.zeros((N, width))) for name, width in layer.state_widths.items()}
        for layer in stack.layers
    ]
    for _ in range(2):  # the states of the first block are carried into the second, detached
        xs, dhs = rng.standard_normal((2, N, T, D))
        inputs, first = tensor(xs), None
        states = [{name: tensor(state.detach().numpy()) for name, state in each.items()} for each in states]
        incoming = [dict(each) for each in states]
        outputs = inputs
        for p, own in zip(theirs, states, strict=True):
            outputs, values = FORMS[cell](outputs, p, own, first)
            first = values if first is None else first
        for p in theirs:
            for weight in p.values():
                weight.grad = None
        (outputs * torch.tensor(dhs)).sum().backward()
        assert_allclose(stack.forward(xs), outputs.detach().numpy(), rtol=1e-8, atol=1e-9)
        assert_allclose(stack.backward(dhs), inputs.grad.numpy(), rtol=1e-7, atol=1e-8)
        found = zip(stack.grads, (weight.grad for p in theirs for weight in p.values()), strict=True)
        for ours, grad in found:
            assert_allclose(ours, grad.numpy(), rtol=1e-7, atol=1e-7)
        for layer, own in zip(stack.layers, incoming, strict=True):
            for name in {"x_att", "x_ffn", "S"} & own.keys():  # a, b and p of RWKV-4 are not unique
                assert_allclose(getattr(layer, f"d{name}"), own[name].grad.numpy(), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("cell", BLOCKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tensors_give_the_numbers_of_arrays(cell: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    weights = BLOCKS[cell].weights(rng, 8, 2, dtype)
    arrays, tensors = (
        Stack.of(BLOCKS[cell], [{name: to(w) for name, w in each.items()} for each in weights])
        for to in (np.array, torch.tensor)
    )
    xs, dhs = rng.standard_normal((2, 2, 18, 8)).astype(dtype)
    rtol = 1e-9 if dtype == "float64" else 2e-3
    for _ in range(2):
        assert_allclose(tensors.forward(torch.tensor(xs)).numpy(), arrays.forward(xs), rtol=rtol, atol=rtol)
        assert_allclose(
            tensors.backward(torch.tensor(dhs)).numpy(), arrays.backward(dhs), rtol=rtol, atol=rtol
        )


@needs_package
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("cell", "D", "layers", "sizes"),
    [
        ("rwkv4", 32, 2, {}),
        ("rwkv4", 48, 3, {"ffn": 100}),
        ("rwkv7", 64, 1, {}),
        ("rwkv7", 128, 3, {"ffn": 96, "rank_w": 8, "rank_a": 16, "rank_v": 4, "rank_g": 24}),
        ("rwkv7", 48, 2, {"head": 16}),
    ],
)
def test_log_probs_are_those_of_the_authors_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str, D: int, layers: int, sizes: dict[str, int]
) -> None:
    V = 50
    arrays = checkpoint(cell, V, D, layers, sizes, np.random.default_rng(D))
    torch.save({name: torch.tensor(array) for name, array in arrays.items()}, tmp_path / "model.pth")
    theirs = authors_model(cell, tmp_path / "model", monkeypatch)
    ours = from_rwkv(read_torch_zip(tmp_path / "model.pth"), "model.pth")
    ids = np.random.default_rng(1).integers(0, V, 60).tolist()

    logits, state = theirs.forward(ids[:40], None, full_output=True)
    rows = [F.log_softmax(logits.float(), -1)]
    for each in ids[40:]:  # token by token, with the state carried
        row, state = theirs.forward([each], state)
        rows.append(F.log_softmax(row.float(), -1)[None])
    expected = torch.cat(rows).numpy()  # (60, V), after each token

    state = ours.start()
    for at, each in enumerate(ids):
        state = ours.feed(np.array([[each]]), state)
        assert_allclose(ours.next_log_probs(state)[0], expected[at], rtol=0, atol=1e-4)
    in_parts, of_parts = ours.start(), []
    for part in (ids[:23], ids[23:24], ids[24:]):
        found, in_parts = ours.target_log_probs(np.array([part]), in_parts)
        of_parts.append(found[0])
    chosen = expected[np.arange(59), ids[1:]]
    assert_allclose(np.concatenate(of_parts)[1:], chosen, rtol=0, atol=1e-4)


def authors_model(cell: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package's model, which is chosen by environment variables when its module is imported."""
    for name, value in (
        ("RWKV_V7_ON", "1" if cell == "rwkv7" else "0"),
        ("RWKV_JIT_ON", "0"),
        ("RWKV_CUDA_ON", "0"),
    ):
        monkeypatch.setitem(os.environ, name, value)
    spec = importlib.util.find_spec("rwkv.model")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.RWKV(model=str(path), strategy="cpu fp32")
