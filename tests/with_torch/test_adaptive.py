"""The adaptive softmax on torch tensors, and against PyTorch's own through its autograd."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman import arrays
from elman.layers import TimeAdaptiveSoftmaxWithLoss, adaptive, output
from elman.layers.adaptive import AdaptiveWeights
from elman.models.recurrent import RecurrentLM
from elman.training.optimizers import OPTIMIZERS

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch

N, T, H = 3, 4, 8
C, TAILS = (
    4,
    ((5, 4), (7, 2)),
)  # words of the head; words and width of each cluster, as div_value=2 makes them
V = C + sum(words for words, _ in TAILS)
To = Callable[[Any], Any]


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(sum(shape) + seed).standard_normal(shape)


def make_weights(to: To, ranks: Any = None, bias: float = 1.0) -> AdaptiveWeights:
    head = to(draw(H, C + len(TAILS))), to(draw(C + len(TAILS)))
    tails = [(to(draw(H, d)), to(draw(d, words)), to(bias * draw(words))) for words, d in TAILS]
    return AdaptiveWeights(head, tails, ranks)


def block(k: int) -> tuple[Any, Any]:
    """The second block has targets in the head alone."""
    ts = np.random.default_rng(k).integers(-1, C if k == 1 else V, (N, T))
    return draw(N, T, H, seed=k), ts


def results(to: To) -> Iterator[Any]:
    weights = make_weights(to, np.random.default_rng(1).permutation(V))
    layer = TimeAdaptiveSoftmaxWithLoss(weights)
    in_head = np.argsort(arrays.to_numpy(weights.ranks))[:C]
    for k in range(3):
        xs, ts = block(k)
        if k == 1:
            ts = np.where(ts < 0, -1, in_head[ts])
        yield from (layer.forward(to(xs), to(ts)), layer.backward(0.5), *layer.grads)
        yield from (rows for rows in layer.grad_rows if rows is not None)
    layer.train_flg = False
    yield layer.forward(to(xs), to(ts))
    rows, targets = to(xs.reshape(N * T, H)), np.maximum(ts, 0).reshape(-1)
    yield adaptive.log_probs(rows, weights)
    yield adaptive.target_log_probs(rows, arrays.as_ids(targets, rows), weights)


def to_numpy_of(dtype: str) -> To:
    return lambda values: values.astype(dtype) if np.issubdtype(values.dtype, np.floating) else values


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("chunk", [1, 20, 10_000])
def test_torch_tensors_give_the_numbers_of_numpy(
    monkeypatch: pytest.MonkeyPatch, dtype: str, chunk: int
) -> None:
    monkeypatch.setattr(output, "CHUNK_SCORES", chunk)
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    to = to_numpy_of(dtype)
    for tensor, array in zip(results(lambda values: torch.tensor(to(values))), results(to), strict=True):
        if isinstance(array, float):
            assert type(tensor) is float
        else:
            assert isinstance(tensor, torch.Tensor)
            if tensor.dtype.is_floating_point:
                assert str(tensor.dtype) == f"torch.{dtype}"
        assert_allclose(tensor, array, rtol=tolerance, atol=tolerance)


def torch_layer(weights: AdaptiveWeights) -> Any:
    """Return PyTorch's layer with our weights; its tails have no biases, and its words stand in rank order."""
    cutoffs = list(np.cumsum([C, *(words for words, _ in TAILS[:-1])]))
    layer = torch.nn.AdaptiveLogSoftmaxWithLoss(
        H, V, [int(c) for c in cutoffs], div_value=2.0, head_bias=True, dtype=torch.float64
    )
    ours = [*weights.head]
    for P, W, _ in weights.tails:
        ours += [P, W]
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), ours, strict=True):
            parameter.copy_(torch.tensor(value.T))
    return layer


def test_agrees_with_pytorch_block_after_block() -> None:
    weights = make_weights(to_numpy_of("float64"), bias=0.0)
    ours, theirs = TimeAdaptiveSoftmaxWithLoss(weights), torch_layer(weights)
    for k in range(3):
        values, ts = block(k)
        ts = np.abs(ts)  # PyTorch's layer ignores no label
        xs = torch.tensor(values, requires_grad=True)
        theirs.zero_grad(set_to_none=False)
        found = theirs(xs.reshape(-1, H), torch.tensor(ts).reshape(-1))
        (2.5 * found.loss).backward()
        assert_allclose(ours.forward(values, ts), found.loss.item(), rtol=1e-12)
        assert_allclose(ours.backward(2.5), xs.grad, rtol=1e-9, atol=1e-12)
        mine = [g for i, g in enumerate(ours.grads) if i < 2 or (i - 2) % 3 < 2]
        for grad, parameter in zip(mine, theirs.parameters(), strict=True):
            other = np.zeros(grad.T.shape) if parameter.grad is None else parameter.grad
            assert_allclose(grad.T, other, rtol=1e-9, atol=1e-12)
        rows = values.reshape(-1, H)
        assert_allclose(
            adaptive.log_probs(rows, weights), theirs.log_prob(xs.reshape(-1, H)).detach(), rtol=1e-9
        )
        assert_allclose(
            adaptive.target_log_probs(rows, ts.reshape(-1), weights), found.output.detach(), rtol=1e-9
        )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_model_of_tensors_learns_as_one_of_arrays(name: str) -> None:
    """Four blocks, one of them without targets in the tails; then the same probabilities."""
    ranks = np.random.default_rng(1).permutation(V)
    rng = np.random.default_rng(0)
    array = RecurrentLM(V, 3, H, "lstm", rng=rng, adaptive=(C, C + 5), ranks=ranks, dtype=np.float64)
    tensors = {name: torch.tensor(weight) for name, weight in array.weights.items()}
    tensor = RecurrentLM(V, 3, H, "lstm", adaptive=(C, C + 5), ranks=ranks, weights=tensors)
    optimizers = {id(model): OPTIMIZERS[name](lr=0.1) for model in (array, tensor)}
    in_head = np.argsort(ranks)[:C]
    for k in range(4):
        xs, ts = np.random.default_rng(k).integers(0, V, (2, N, T))
        ts = in_head[ts % C] if k == 2 else ts
        for model in (array, tensor):
            model.forward(xs, ts)
            model.backward()
            optimizers[id(model)].update(model.params, model.grads, model.grad_rows)
    for param, other in zip(tensor.params, array.params, strict=True):
        assert_allclose(param, other, rtol=1e-9, atol=1e-12)
    states = [model.feed(xs, model.start(N)) for model in (tensor, array)]
    found = [model.next_log_probs(s) for model, s in zip((tensor, array), states, strict=True)]
    assert_allclose(*found, rtol=1e-9)
    scores = [model.target_log_probs(ts, s)[0] for model, s in zip((tensor, array), states, strict=True)]
    assert_allclose(*scores, rtol=1e-9)
    assert_array_equal([type(each) for each in (*found, *scores)], [np.ndarray] * 4)
