"""Layers allocate arrays only when a shape changes; parameters and gradients stay the same objects."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman import arrays, layers
from elman.arrays import Buffers
from elman.layers import (
    Layer,
    TimeAffine,
    TimeAffineSoftmaxWithLoss,
    TimeEmbedding,
    TimeSoftmaxWithLoss,
    output,
)
from support.recurrent import KINDS

D, V = 8, 8
Run = Callable[[Any, int, int, int], tuple[Any, Any]]


def draw(seed: int, *shape: int) -> Any:
    """Return a block whose memory is time-major, as another layer hands it on."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((shape[1], shape[0], *shape[2:])).swapaxes(0, 1)


def ids(seed: int, N: int, T: int) -> Any:
    return np.random.default_rng(seed).integers(0, V, (N, T))


def run_sequence(layer: Any, seed: int, N: int, T: int) -> tuple[Any, Any]:
    out = layer.forward(draw(seed, N, T, D))
    return out, layer.backward(draw(seed + 1, *out.shape))


def run_embedding(layer: Any, seed: int, N: int, T: int) -> tuple[Any, Any]:
    out = layer.forward(ids(seed, N, T))
    layer.backward(draw(seed, *out.shape))
    return out, layer.grads[0]


def run_loss(layer: Any, seed: int, N: int, T: int) -> tuple[Any, Any]:
    layer.forward(draw(seed, N, T, D), ids(seed, N, T))
    dxs = layer.backward(2.0)
    return dxs, dxs


def make(name: str) -> tuple[Any, Run]:
    rng = np.random.default_rng(0)
    if name in KINDS:
        return KINDS[name].Time(*KINDS[name].weights(rng, D, D), stateful=True), run_sequence
    if name == "projected rnn":
        return layers.TimeRNN(None, *KINDS["rnn"].weights(rng, D, D)[1:]), run_sequence
    weights = rng.standard_normal((D, V)), rng.standard_normal(V)
    return {
        "embedding": (TimeEmbedding(weights[0]), run_embedding),
        "tied embedding": (TimeEmbedding(weights[0], tied=True), run_embedding),
        "affine": (TimeAffine(*weights), run_sequence),
        "softmax": (TimeSoftmaxWithLoss(), run_loss),
        "output": (TimeAffineSoftmaxWithLoss(*weights), run_loss),
    }[name]


RECURRENT = [*KINDS, "projected rnn"]
OTHERS = ["embedding", "tied embedding", "affine", "softmax", "output"]
every_layer = pytest.mark.parametrize("name", RECURRENT + OTHERS)


def test_a_buffer_is_kept_until_its_shape_or_dtype_changes() -> None:
    buffers, like = Buffers(), np.zeros(1, dtype=np.float32)
    first = buffers.get("a", (2, 3), like)
    assert (first.shape, first.dtype) == ((2, 3), np.float32)
    assert buffers.get("a", (2, 3), like) is first
    assert buffers.get("b", (2, 3), like) is not first
    assert buffers.get("a", (2, 3), np.zeros(1)).dtype == np.float64
    longer = buffers.get("a", (3, 3), like)
    assert longer.shape == (3, 3)
    assert buffers.get("a", (2, 3), like) is not first


@every_layer
def test_every_layer_answers_the_protocol(name: str) -> None:
    layer, _ = make(name)
    assert isinstance(layer, Layer)
    assert [g.shape for g in layer.grads] == [p.shape for p in layer.params]
    assert not any(g.any() for g in layer.grads)


@every_layer
def test_parameters_and_gradients_stay_the_same_arrays(name: str) -> None:
    layer, run = make(name)
    params, grads = [*layer.params], [*layer.grads]
    for seed, (N, T) in enumerate([(2, 3), (2, 3), (2, 5), (4, 1), (2, 3)]):
        if name in RECURRENT:
            layer.reset_state()
        run(layer, seed, N, T)
        assert all(a is b for a, b in zip(layer.params, params, strict=True))
        assert all(a is b for a, b in zip(layer.grads, grads, strict=True))


@every_layer
def test_equal_shapes_use_the_same_memory_and_others_do_not(name: str) -> None:
    layer, run = make(name)
    first = run(layer, 0, 3, 4)
    second = run(layer, 1, 3, 4)
    for a, b in zip(first, second, strict=True):
        assert a.ctypes.data == b.ctypes.data
        assert np.shares_memory(a, b)
    if name not in ("embedding", "tied embedding"):
        assert not np.shares_memory(run(layer, 2, 3, 5)[1], second[1])


@every_layer
def test_a_change_of_shape_and_back_changes_no_number(name: str) -> None:
    """What is left in the buffers of one block is never seen by another."""
    layer, run = make(name)
    fresh, _ = make(name)
    for seed, (N, T) in enumerate([(3, 4), (3, 6), (3, 1)]):
        run(layer, seed, N, T)
    if name in RECURRENT:
        layer.reset_state()
    if name == "tied embedding":
        layer.grads[0][...] = 0
    for ours, theirs in zip(run(layer, 9, 3, 4), run(fresh, 9, 3, 4), strict=True):
        assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(layer.grads, fresh.grads, strict=True):
        assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*RECURRENT, "affine"])
def test_a_second_block_makes_no_array_of_the_size_of_the_block(name: str) -> None:
    N, T = 64, 128  # many times larger than what NumPy buffers within one operation
    layer, run = make(name)
    run(layer, 0, N, T)
    xs, dout = draw(1, N, T, D), draw(2, *layer.forward(draw(1, N, T, D)).shape)
    tracemalloc.start()
    try:
        layer.forward(xs)
        layer.backward(dout)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < xs.nbytes / 2


@every_layer
@pytest.mark.parametrize("rows_per_chunk", [5, 1000])
def test_a_second_block_of_equal_shape_needs_no_new_buffer(
    monkeypatch: pytest.MonkeyPatch, name: str, rows_per_chunk: int
) -> None:
    """12 rows in chunks of 5: the output layer's shorter last chunk takes no buffer of its own."""
    monkeypatch.setattr(output, "CHUNK_SCORES", rows_per_chunk * V)
    made = []

    def counting(shape: tuple[int, ...], like: Any) -> Any:
        made.append(shape)
        return np.empty(shape, dtype=like.dtype)

    monkeypatch.setattr(arrays, "empty", counting)
    layer, run = make(name)
    run(layer, 0, 3, 4)
    assert made
    made.clear()
    run(layer, 1, 3, 4)
    assert made == []
