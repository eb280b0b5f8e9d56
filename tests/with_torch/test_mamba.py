"""Mamba's blocks agree with PyTorch's autograd, with `transformers`, and with themselves on torch tensors."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.formats.pretrained import READERS, StoredArrays
from elman.layers import selective_scan, state_space
from elman.models.recurrent import RecurrentLM
from support.mamba import BLOCKS, Block
from support.tiny import blocks_of, small_lm

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch

N, T, D = 2, 7, 3
every_block = pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def silu(u: Any) -> Any:
    return torch.nn.functional.silu(u)


def rms(x: Any, gain: Any) -> Any:
    return x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * gain


def convolved(us: Any, before: Any, W: Any, b: Any) -> tuple[Any, Any]:
    """silu of the convolution of us (N, T, C) after ``before`` (N, K - 1, C), and the last inputs."""
    whole = torch.cat([before, us], 1).transpose(1, 2)
    return silu(torch.conv1d(whole, W.T[:, None], b, groups=W.shape[1])).transpose(1, 2), whole[
        ..., us.shape[1] :
    ]


def mamba2_block(xs: Any, w: dict[str, Any], s: Any, conv: Any) -> Any:
    """The block of `transformers` and of the paper, one step at a time."""
    (H, _), (G, R), (K, C) = w["Wo"].shape, w["A_log"].shape, w["conv"].shape
    n = rms(xs, w["gain"])
    vs, _ = convolved(n @ w["Wx"], conv.reshape(N, K - 1, C), w["conv"], w["conv_b"])
    S = (C - H) // (2 * G)
    x = vs[..., :H].reshape(N, -1, G * R, H // (G * R))
    B, C_ = (part.reshape(N, -1, G, S).repeat_interleave(R, 2) for part in vs[..., H:].chunk(2, -1))
    dt = torch.nn.functional.softplus(n @ w["Wdt"] + w["dt_b"])
    A = -w["A_log"].reshape(-1).exp()
    s, ys = s.reshape(N, G * R, -1, S), []
    for t in range(xs.shape[1]):
        s = (dt[:, t] * A).exp()[..., None, None] * s
        s = s + torch.einsum("nh,nhp,nhs->nhps", dt[:, t], x[:, t], B[:, t])
        ys.append(torch.einsum("nhps,nhs->nhp", s, C_[:, t]) + w["skip"][:, None] * x[:, t])
    y = torch.stack(ys, 1).reshape(N, -1, H) * silu(n @ w["Wg"])
    y = rms(y.unflatten(-1, (G, H // G)), torch.ones(())).flatten(-2) * w["inner_gain"]
    return rms(xs + y @ w["Wo"], w["last_gain"])


def mamba_block(xs: Any, w: dict[str, Any], s: Any, conv: Any) -> Any:
    """The block of the paper, one step at a time."""
    (S, H), K = w["A_log"].shape, len(w["conv"])
    n = rms(xs, w["gain"])
    x, _ = convolved(n @ w["Wx"], conv.reshape(N, K - 1, H), w["conv"], w["conv_b"])
    B, C = (x @ w["Wbc"]).chunk(2, -1)
    dt = torch.nn.functional.softplus(x @ w["Wr"] @ w["Wdt"] + w["dt_b"])
    s, ys = s.reshape(N, S, H), []
    for t in range(xs.shape[1]):
        s = torch.exp(-dt[:, t, None] * w["A_log"].exp()) * s + torch.einsum(
            "ns,nh->nsh", B[:, t], dt[:, t] * x[:, t]
        )
        ys.append(torch.einsum("ns,nsh->nh", C[:, t], s) + w["skip"] * x[:, t])
    return rms(xs + (torch.stack(ys, 1) * silu(n @ w["Wg"])) @ w["Wo"], w["last_gain"])


FORMS = {"mamba": mamba_block, "mamba2": mamba2_block}


@every_block
@pytest.mark.parametrize("chunk", [64, 3], ids=["one chunk", "chunks of 3"])
def test_gradients_are_those_of_autograd(block: Block, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (state_space, selective_scan):
        monkeypatch.setattr(module, "CHUNK", chunk)
    weights, xs, dys = block.weights(), draw(N, T, D), draw(N, T, D, seed=1)
    layer = block.layer(weights)
    states = block.draw_states(layer, N)
    layer.carry(states)
    ys, dxs = layer.forward(xs), layer.backward(dys)
    theirs = {name: torch.tensor(weight, requires_grad=True) for name, weight in weights.items()}
    x, s, conv = (torch.tensor(a, requires_grad=True) for a in (xs, states["s"], states["conv"]))
    out = FORMS[block.cell](x, theirs, s, conv)
    out.backward(torch.tensor(dys))
    assert_allclose(ys, out.detach(), rtol=1e-10, atol=1e-12)
    by_id = {id(param): grad for param, grad in zip(layer.params, layer.grads, strict=True)}
    pairs = [(dxs, x), (layer.ds, s), (layer.dconv, conv)]
    pairs += [(by_id[id(weight)], theirs[name]) for name, weight in weights.items()]
    for ours, tensor in pairs:
        assert_allclose(ours, tensor.grad, rtol=1e-9, atol=1e-11)


@every_block
def test_tensors_and_arrays_give_the_same(block: Block) -> None:
    weights, xs, dys = block.weights(), draw(N, T, D), draw(N, T, D, seed=1)
    ours, theirs = block.layer(weights), block.layer({n: torch.tensor(w) for n, w in weights.items()})
    for _ in range(2):
        assert_allclose(theirs.forward(torch.tensor(xs)), ours.forward(xs), rtol=1e-10, atol=1e-12)
        assert_allclose(theirs.backward(torch.tensor(dys)), ours.backward(dys), rtol=1e-9, atol=1e-11)
    for grad, wanted in zip(theirs.grads, ours.grads, strict=True):
        assert_allclose(grad, wanted, rtol=1e-9, atol=1e-11)
    for t in range(2):
        step = xs[:, t : t + 1]
        assert_allclose(theirs.forward(torch.tensor(step)), ours.forward(step), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", FORMS)
def test_a_model_trains_in_bf16(cell: str) -> None:
    from elman.backend import Backend

    backend = Backend("torch", precision="bf16")
    exact = small_lm(dtype=np.float32, cell=cell)
    model = RecurrentLM(**exact.hyperparameters, weights=exact.weights, backend=backend)
    xs, ts = blocks_of(9, N, T, 2)
    assert model.forward(xs, ts) == pytest.approx(exact.forward(xs, ts), rel=0.05)
    model.backward()


# Models of `transformers`


def their_model(kind: str, **sizes: Any) -> Any:
    """A model with random weights, every one of which matters."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(vocab_size=70, num_hidden_layers=3, **sizes)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 1 or name.endswith("A_log"):
                weight += 0.3 * torch.randn_like(weight)
            else:
                weight.copy_(torch.randn_like(weight) * weight.shape[-1] ** -0.5)
    return model


THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "mamba": ("Mamba", {"hidden_size": 32, "state_size": 8}),
    "mamba, untied": (
        "Mamba",
        {"hidden_size": 40, "state_size": 16, "time_step_rank": 5, "expand": 3, "tie_word_embeddings": False},
    ),
    "mamba2": ("Mamba2", {"hidden_size": 32, "head_dim": 16, "num_heads": 4, "state_size": 8, "n_groups": 1}),
    "mamba2, groups": (
        "Mamba2",
        {"hidden_size": 32, "head_dim": 8, "num_heads": 8, "state_size": 16, "n_groups": 4},
    ),
    "mamba2, tied": (
        "Mamba2",
        {
            "hidden_size": 48,
            "head_dim": 32,
            "num_heads": 3,
            "state_size": 24,
            "n_groups": 1,
            "tie_word_embeddings": True,
            "use_conv_bias": False,
        },
    ),
}


@pytest.mark.parametrize(("kind", "sizes"), THEIRS.values(), ids=THEIRS)
def test_log_probs_are_those_of_transformers(kind: str, sizes: dict[str, Any]) -> None:
    theirs = their_model(kind, **sizes)
    arrays = {name: weight.numpy() for name, weight in theirs.state_dict().items()}
    shape, weights = READERS[kind.lower()](theirs.config.to_dict(), StoredArrays(arrays, "a test"))
    model = RecurrentLM(**shape, weights=weights)
    ids = np.random.default_rng(1).integers(0, 70, (N, 100))
    with torch.no_grad():
        wanted = torch.log_softmax(theirs(torch.tensor(ids)).logits, -1).numpy()
    targets = np.take_along_axis(wanted[:, :-1], ids[:, 1:, None], 2)[..., 0]
    begun = model.feed(ids[:, :1], model.start(N))
    whole, _ = model.target_log_probs(ids[:, 1:], begun)
    assert_allclose(whole, targets, atol=1e-4)
    parts, state = [], begun
    for t in range(1, 100, 37):
        part, state = model.target_log_probs(ids[:, t : t + 37], state)
        parts.append(part)
    assert_allclose(np.concatenate(parts, axis=1), targets, atol=1e-4)
    state = model.start(N)
    for t in range(20):
        state = model.feed(ids[:, t : t + 1], state)
        assert_allclose(model.next_log_probs(state), wanted[:, t], atol=1e-4)
