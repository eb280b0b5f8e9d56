"""float32 layers, with either module of kernels, against the float64 layers whose gradients are proven."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import oracle
from elman.layers import (
    TimeAffineSoftmaxWithLoss,
    TimeEmbedding,
    TimeSoftmaxWithLoss,
    embedding,
    gru,
    lstm,
    output,
    recurrent,
    rnn,
)
from elman.layers.kernels import kernels_for
from elman.layers.kernels import numpy as numpy_kernels
from elman.layers.kernels.tiles import FEW
from elman.workers import use_workers
from support.loops import KERNELS, needs_numba, switch_jit
from support.recurrent import KINDS, Kind
from support.tiny import blocks_of, small_lm

Used = set[str]
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
D, H, T, V = 5, 17, 4, 50


class Recorder:
    """A module of kernels, and the names of those that were used."""

    def __init__(self, kernels: Any, used: Used) -> None:
        self.kernels, self.used = kernels, used

    def __getattr__(self, name: str) -> Callable[..., Any]:
        self.used.add(name)
        kernel: Callable[..., Any] = getattr(self.kernels, name)
        return kernel


@pytest.fixture(params=["numpy", *KERNELS])
def used(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Used:
    """The names of the kernels that float32 layers use: NumPy's, or numba's, compiled or as plain Python."""
    names: Used = set()
    recorder = Recorder(numpy_kernels if request.param == "numpy" else KERNELS[request.param], names)
    for module in (embedding, recurrent, rnn, lstm, gru, output):
        monkeypatch.setattr(
            module, "kernels_for", lambda like: recorder if like.dtype == np.float32 else numpy_kernels
        )
    return names


def draw(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype("f")


def exact(arrays: list[Any]) -> list[Any]:
    return [array.astype(np.float64) for array in arrays]


def close(ours: list[Any], theirs: list[Any], error: float = 2e-6) -> None:
    """Relative to the largest number of each array."""
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == np.float32
        assert np.abs(a - b).max(initial=0) <= error * np.abs(b).max(initial=0)


def outcome(layer: Any, xs: Any, dhs: Any) -> list[Any]:
    """Return all that comes of one block, as copies."""
    found = [layer.forward(xs), layer.backward(dhs), *layer.grads]
    found += [getattr(layer, prefix + name) for prefix in ("", "d") for name in layer.states]
    return [np.copy(array) for array in found]


# The recurrent layers


@every_kind
@pytest.mark.parametrize("N", [1, FEW, FEW + 1, 5])
@pytest.mark.parametrize("projected", [False, True])
def test_a_recurrent_layer_block_after_block(used: Used, kind: Kind, N: int, projected: bool) -> None:
    rng = np.random.default_rng(0)
    weights = kind.weights(rng, D, H, np.float32)
    weights[1] *= np.float32(0.5)  # which keeps rounding from growing from step to step
    if projected:
        weights[0] = None
    layer = kind.Time(*weights, stateful=True)
    twin = kind.Time(*(None if w is None else w.astype("d") for w in weights), stateful=True)
    for seed in range(3):
        xs, dhs = draw(seed, N, T, kind.gates * H if projected else D), draw(seed + 10, N, T, H)
        close(outcome(layer, xs, dhs), outcome(twin, *exact([xs, dhs])), 5e-6)
    name = {1: "rnn", 4: "lstm", 3: "gru"}[kind.gates]
    assert used == {"packed", f"{name}_forward", f"{name}_backward"}


@every_kind
@pytest.mark.parametrize("N", [1, 2, 3])
def test_spans_of_steps(used: Used, kind: Kind, N: int) -> None:
    """As a model with several threads asks for them."""
    weights = kind.weights(np.random.default_rng(0), D, H, np.float32)
    layer, twin = kind.Time(*weights, stateful=True), kind.Time(*exact(weights), stateful=True)
    for seed in range(2):
        xs, dhs = draw(seed, N, 7, D), draw(seed + 10, N, 7, H)
        hs = layer.begin(xs)
        for span in ((0, 1), (1, 4), (4, 7)):
            layer.forward_steps(*span)
        layer.end()
        dxs = layer.begin_backward(dhs)
        for span in ((5, 7), (2, 5), (0, 2)):
            layer.backward_steps(*span)
        layer.end_backward()
        for write in layer.weight_gradients():
            write()
        ours = [hs, dxs, *layer.grads, *kind.carried(layer), *kind.carried(layer, "d")]
        close(ours, outcome(twin, *exact([xs, dhs])), 1e-5)
    assert used


@every_kind
@pytest.mark.parametrize("N", [2, 3])
def test_backward_twice_gives_the_same_gradients(used: Used, kind: Kind, N: int) -> None:
    layer = kind.Time(*kind.weights(np.random.default_rng(0), D, H, np.float32), stateful=True)
    xs, dhs = draw(0, N, T, D), draw(1, N, T, H)
    kept = xs.copy(), dhs.copy()
    first = outcome(layer, xs, dhs)
    layer.backward(dhs)
    for one, other in zip(
        first[2:], [*layer.grads, *kind.carried(layer), *kind.carried(layer, "d")], strict=True
    ):
        assert_array_equal(one, other)
    assert_array_equal((xs, dhs)[0], kept[0])
    assert_array_equal((xs, dhs)[1], kept[1])
    assert used


@every_kind
@pytest.mark.parametrize("N", [2, 3])
def test_layout_of_weights_and_blocks_does_not_matter(used: Used, kind: Kind, N: int) -> None:
    weights = kind.weights(np.random.default_rng(0), D, H, np.float32)
    xs, dhs = draw(0, N, T, D), draw(1, N, T, H)
    expected = outcome(kind.Time(*exact(weights)), *exact([xs, dhs]))
    layer = kind.Time(*map(np.asfortranarray, weights))
    close(outcome(layer, np.asfortranarray(xs), np.repeat(dhs, 2, axis=2)[:, :, ::2]), expected, 5e-6)
    assert used


@every_kind
@pytest.mark.parametrize("N", [2, 3])
def test_a_nan_in_one_sequence_does_not_affect_the_others(used: Used, kind: Kind, N: int) -> None:
    layer = kind.Time(*kind.weights(np.random.default_rng(0), D, H, np.float32))
    xs = draw(0, N, T, D)
    expected = layer.forward(xs).copy()
    xs[0, 1] = np.nan
    with np.errstate(all="ignore"):  # as the trainer does
        hs = layer.forward(xs)
    assert np.isnan(hs[0, 1:]).all()
    assert_array_equal(hs[0, 0], expected[0, 0])
    assert_array_equal(hs[1:], expected[1:])
    assert used


# Embedding and output


def test_the_embedding_block_after_block(used: Used) -> None:
    W = draw(0, V, D)
    layer = TimeEmbedding(W)
    for seed, (N, steps) in enumerate([(3, 4), (3, 4), (1, 1), (4, 30)]):
        ids, dout = blocks_of(V, N, steps, 1, seed)[0], draw(seed, N, steps, D)
        ids[0, 0] = ids[-1, -1]
        assert_array_equal(layer.forward(ids), W[ids])
        layer.backward(dout)
        close(layer.grads, [oracle.embedding_backward(ids, dout, np.zeros((V, D)))])
        assert sorted(layer.rows) == sorted(set(ids.reshape(-1)))
    assert used == {"add_rows"}


def test_the_tied_embedding_adds_to_what_another_layer_wrote(used: Used) -> None:
    layer = TimeEmbedding(draw(0, V, 1), tied=True)
    for _ in range(2):
        layer.grads[0][...] = 10
        layer.forward(np.array([[1, 1, 4]]))
        layer.backward(np.ones((1, 3, 1), "f"))
        assert_array_equal(layer.grads[0][:6, 0], [10, 12, 10, 10, 11, 10])
        assert layer.rows is None
    assert used


@pytest.mark.parametrize("number", [1, 2])
def test_the_output_layer_block_after_block(used: Used, number: int) -> None:
    W, b = draw(0, D, V), draw(1, V)
    layer = TimeAffineSoftmaxWithLoss(W, b)
    softmax_loss = TimeSoftmaxWithLoss()
    for seed in range(3):
        xs, ts = draw(seed, 3, T, D), blocks_of(V, 3, T, 1, seed)[0]
        ts[1, 1:3] = -1
        with use_workers(number):
            loss = layer.forward(xs, ts)
            dxs = layer.backward(0.5)
        x, w = xs.astype("d"), W.astype("d")
        assert loss == pytest.approx(softmax_loss.forward(x @ w + b, ts), rel=1e-6)
        dscores = softmax_loss.backward(0.5)
        theirs = [dscores @ w.T, np.einsum("nth,ntv->hv", x, dscores), dscores.sum(axis=(0, 1))]
        close([dxs, *layer.grads], theirs)
    assert used == {"score_rows", "differentiate_rows"}


# Whole models


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    "options",
    [{"layers": 2, "dropout": 0.3}, {"D": 0}, {"D": 5, "H": 5, "tie_weights": True}],
    ids=["two layers", "one-hot input", "tied weights"],
)
def test_a_model_block_after_block(used: Used, cell: str, number: int, options: dict[str, Any]) -> None:
    options = {"cell": cell, "H": 6, **options}
    model, twin = small_lm(V, dtype=np.float32, **options), small_lm(V, **options)
    for xs, ts in zip(blocks_of(V, 3, 7, 3), blocks_of(V, 3, 7, 3, seed=1), strict=True):
        with use_workers(number):
            loss = model.forward(xs, ts)
            model.backward()
        assert loss == pytest.approx(twin.forward(xs, ts), rel=1e-6)
        twin.backward()
        close(model.grads, twin.grads, 1e-5)
    of_cell, of_output = (
        {"packed", f"{cell}_forward", f"{cell}_backward"},
        {"score_rows", "differentiate_rows"},
    )
    assert of_cell | of_output | {"add_rows"} >= used
    assert f"{cell}_backward" in used


# Which kernels are used


def test_without_numba_numpy_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    switch_jit(monkeypatch, False)
    assert kernels_for(np.zeros(1, np.float32)) is numpy_kernels


@needs_numba
def test_compiled_kernels_are_for_float32_only() -> None:
    assert kernels_for(np.zeros(1, np.float32)) is KERNELS["compiled"]
    assert kernels_for(np.zeros(1)) is numpy_kernels


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_copy_of_a_model_learns_as_the_model_does(cell: str, number: int) -> None:
    """In float32, with the kernels that there are."""
    model = small_lm(V, cell=cell, layers=2, dtype=np.float32)
    xs, ts = blocks_of(V, 3, 7, 2)
    with use_workers(number):
        model.forward(xs, ts)
        twin = copy.deepcopy(model)
        losses: list[list[float]] = [[], []]
        for one, found in zip((model, twin), losses, strict=True):
            for _ in range(3):
                found.append(one.forward(xs, ts))
                one.backward()
                for param, grad in zip(one.params, one.grads, strict=True):
                    param -= grad
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 3
