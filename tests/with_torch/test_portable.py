"""The same layer files on torch tensors give the numbers that they give on NumPy arrays.

(This folder is not called `torch`: `tests` is on the import path, and would then hide a missing torch.)
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import oracle
from elman import arrays
from elman.errors import ShapeError, VocabularyError
from elman.layers import (
    Recursive,
    TimeAffine,
    TimeAffineSoftmaxWithLoss,
    TimeBidirectional,
    TimeDropout,
    TimeEmbedding,
    TimeLSTM,
    TimeRNN,
    TimeSoftmaxWithLoss,
    output,
)
from support.cells import CELLS, Cell
from support.recurrent import KINDS, Kind

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch

N, T, D, H, V = 3, 4, 5, 6, 7
To = Callable[[Any], Any]
Results = Iterator[Any]
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def draw(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def draw_ids(seed: int, low: int = 0) -> Any:
    return np.random.default_rng(seed).integers(low, V, (N, T))


def time_layer(kind: Kind, to: To, projected: bool, stateful: bool) -> Results:
    Wx, *rest = (to(w) for w in kind.weights(np.random.default_rng(0), D, H))
    layer = kind.Time(None if projected else Wx, *rest, stateful=stateful)
    layer.set_state(*(to(s) for s in kind.draw_states(np.random.default_rng(1), N, H)))
    for block in range(2):
        yield layer.forward(to(draw(N, T, kind.gates * H if projected else D) + block))
        yield layer.backward(to(draw(N, T, H)))
        yield from (*layer.grads, *kind.carried(layer), *kind.carried(layer, "d"))


def linear_recurrence(cell: Cell, to: To, width: int) -> Results:
    weights = cell.weights(np.random.default_rng(0), width, H)
    layer = cell.Time(**{name: to(weight) for name, weight in weights.items()}, stateful=True)
    for block in range(2):
        yield layer.forward(to(draw(N, T, width) + block))
        yield layer.backward(to(draw(N, T, H)))
        yield from (*layer.grads, *(getattr(layer, d + name) for d in ("", "d") for name in layer.states))


def one_step_cell(kind: Kind, to: To) -> Results:
    rng = np.random.default_rng(0)
    cell = kind.Cell(*(to(w) for w in kind.weights(rng, D, H)))
    states = [to(s) for s in kind.draw_states(rng, N, H)]
    out = cell.forward(to(draw(N, D)), *states)
    yield from out if len(states) == 2 else [out]
    yield from (*cell.backward(*states), *cell.grads)


def bidirectional(to: To, lengths: Any) -> Results:
    rng = np.random.default_rng(0)
    ahead, back = (TimeLSTM(*(to(w) for w in KINDS["lstm"].weights(rng, D, H))) for _ in range(2))
    layer = TimeBidirectional(ahead, back)
    for block in range(2):
        yield layer.forward(to(draw(N, T, D) + block), None if lengths is None else to(lengths))
        yield layer.backward(to(draw(N, T, 2 * H)))
        yield from layer.grads


def recursive(to: To) -> Results:
    layer = Recursive(to(0.5 * draw(H, H)), to(0.4 * draw(H, H)), to(draw(H)))
    for pairs in (np.array([[0, 1], [4, 2], [3, 5]]), np.array([[1, 0], [3, 2]])):
        yield layer.forward(to(draw(4, H)), to(pairs))
        yield layer.backward(to(draw(4 + len(pairs), H)))
        yield from layer.grads


def embedding(to: To, tied: bool) -> Results:
    layer = TimeEmbedding(to(draw(V, D)), tied=tied)
    for block in range(2):
        yield layer.forward(to(draw_ids(block)))
        layer.backward(to(draw(N, T, D)))
        yield layer.grads[0]
        if not tied:
            yield layer.rows


def affine(to: To) -> Results:
    layer = TimeAffine(to(draw(H, V)), to(draw(V)))
    yield from (layer.forward(to(draw(N, T, H))), layer.backward(to(draw(N, T, V))), *layer.grads)


def softmax(to: To, one_hot: bool) -> Results:
    layer, xs = TimeSoftmaxWithLoss(), to(100 * draw(N, T, V))
    ts = oracle.one_hot(draw_ids(0), V) if one_hot else draw_ids(0, low=-1)
    yield from (layer.forward(xs, to(ts)), layer.backward(), layer.backward(0.5))


def fused_output(to: To, train_flg: bool, dout: float) -> Results:
    d_embedding = to(np.zeros((V, H)))
    layer = TimeAffineSoftmaxWithLoss(to(draw(H, V)), to(draw(V)), dW=d_embedding.T)
    layer.train_flg = train_flg
    for block in range(2):
        yield layer.forward(to(draw(N, T, H) + block), to(draw_ids(block, low=-1)))
        if train_flg:
            yield from (layer.backward(dout), *layer.grads, d_embedding)


def dropout(to: To) -> Results:
    layer = TimeDropout(0.3, rng=np.random.default_rng(0))
    for _ in range(2):
        yield from (layer.forward(to(draw(N, T, D))), layer.backward(to(draw(N, T, D))))


def log_probs(to: To) -> Results:
    rows, W, b = to(draw(N * T, H)), to(draw(H, V)), to(draw(V))
    yield output.log_probs(rows, W, b)
    yield output.target_log_probs(rows, arrays.as_ids(draw_ids(0).reshape(-1), rows), W, b)


CASES: dict[str, Callable[[To], Results]] = {
    **{
        f"{name}, projected={p}, stateful={s}": lambda to, kind=kind, p=p, s=s: time_layer(kind, to, p, s)
        for name, kind in KINDS.items()
        for p in (False, True)
        for s in (False, True)
    },
    **{
        f"{name}, {width} wide": lambda to, cell=cell, width=width: linear_recurrence(cell, to, width)
        for name, cell in CELLS.items()
        for width in (D, H)
    },
    **{f"{name} cell": lambda to, kind=kind: one_step_cell(kind, to) for name, kind in KINDS.items()},
    "bidirectional": lambda to: bidirectional(to, None),
    "bidirectional, lengths": lambda to: bidirectional(to, np.array([4, 1, 2])),
    "recursive": recursive,
    "embedding": lambda to: embedding(to, tied=False),
    "tied embedding": lambda to: embedding(to, tied=True),
    "affine": affine,
    "softmax, ids": lambda to: softmax(to, one_hot=False),
    "softmax, one-hot": lambda to: softmax(to, one_hot=True),
    "output, training": lambda to: fused_output(to, True, 1),
    "output, dout": lambda to: fused_output(to, True, -0.5),
    "output, loss alone": lambda to: fused_output(to, False, 1),
    "dropout": dropout,
    "log probs": log_probs,
}


def to_numpy_of(dtype: str) -> To:
    return lambda values: values.astype(dtype) if np.issubdtype(values.dtype, np.floating) else values


def to_torch_of(dtype: str) -> To:
    return lambda values: torch.tensor(to_numpy_of(dtype)(values))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_torch_tensors_give_the_numbers_of_numpy(
    monkeypatch: pytest.MonkeyPatch, case: str, dtype: str
) -> None:
    monkeypatch.setattr(output, "CHUNK_SCORES", 5 * V)
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    ours, theirs = CASES[case](to_torch_of(dtype)), CASES[case](to_numpy_of(dtype))
    for tensor, array in zip(ours, theirs, strict=True):
        if isinstance(array, float):
            assert type(tensor) is float
        else:
            assert isinstance(tensor, torch.Tensor)
            if tensor.dtype.is_floating_point:
                assert str(tensor.dtype) == f"torch.{dtype}"
            tensor = arrays.to_numpy(tensor)
        assert_allclose(tensor, array, rtol=tolerance, atol=tolerance)


@every_kind
def test_what_is_kept_is_a_copy(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer = kind.Time(*(torch.tensor(w) for w in kind.weights(rng, D, H)), stateful=True)
    params, grads = [*layer.params], [*layer.grads]
    first = layer.forward(torch.tensor(draw(N, T, D)))
    layer.backward(torch.tensor(draw(N, T, H)))
    kept = [*kind.carried(layer), *kind.carried(layer, "d")]
    values = [a.clone() for a in kept]
    second = layer.forward(torch.tensor(draw(N, T, D)))
    layer.backward(torch.tensor(draw(N, T, H)))
    assert all(torch.equal(a, b) for a, b in zip(kept, values, strict=True))
    assert first.data_ptr() == second.data_ptr()
    assert all(a is b for a, b in zip([*params, *grads], [*layer.params, *layer.grads], strict=True))


def test_a_numpy_state_is_moved_to_the_library_of_the_weights() -> None:
    weights = KINDS["rnn"].weights(np.random.default_rng(0), D, H)
    state, xs = draw(N, H), draw(N, T, D)
    layer, other = TimeRNN(*weights, stateful=True), TimeRNN(*map(torch.tensor, weights), stateful=True)
    layer.set_state(state)
    other.set_state(state)
    assert_allclose(other.forward(torch.tensor(xs)), layer.forward(xs))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_numpy_ids_of_any_type_are_read_even_where_they_are_read_only(dtype: Any) -> None:
    """A corpus is a memory-mapped file of unsigned ids that cannot be written."""
    ids = draw_ids(0).astype(dtype)
    ids.flags.writeable = False
    W, scores = torch.tensor(draw(V, D)), torch.tensor(draw(N, T, V))
    assert_allclose(TimeEmbedding(W).forward(ids), draw(V, D)[ids])
    assert TimeSoftmaxWithLoss().forward(scores, ids) == TimeSoftmaxWithLoss().forward(
        scores, torch.tensor(ids.astype(np.int64))
    )


def test_a_buffer_is_made_anew_on_another_device() -> None:
    buffers = arrays.Buffers()
    on_cpu = buffers.get("a", (2,), torch.zeros(1))
    assert buffers.get("a", (2,), torch.zeros(1)) is on_cpu
    assert buffers.get("a", (2,), torch.zeros(1, device="meta")).device.type == "meta"


def test_errors_are_those_of_numpy() -> None:
    layer = TimeRNN(*(torch.tensor(w) for w in KINDS["rnn"].weights(np.random.default_rng(0), D, H)))
    with pytest.raises(ShapeError, match=r"\(N, T, 5\), got \(3, 4, 6\)"):
        layer.forward(torch.zeros(N, T, D + 1))
    with pytest.raises(VocabularyError, match=r"\[0, 7\), got 0 to 7"):
        TimeEmbedding(torch.zeros(V, D)).forward(torch.tensor([[0, V]]))
    with pytest.raises(ShapeError, match=r"\[0, 7\).*7"):
        TimeSoftmaxWithLoss().forward(torch.zeros(1, 1, V), torch.tensor([[V]]))
