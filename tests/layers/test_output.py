"""The output layer equals TimeAffine followed by TimeSoftmaxWithLoss, in one chunk or in many."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ShapeError
from elman.gradcheck import check_gradients
from elman.layers import TimeAffine, TimeAffineSoftmaxWithLoss, TimeSoftmaxWithLoss, output

N, T, H, V = 2, 5, 3, 7


def case(seed: int = 0, N: int = N, T: int = T, H: int = H, V: int = V, dtype: Any = np.float64) -> Any:
    """Return W, b, xs (N, T, H) and targets (N, T), a few of which are ignored."""
    rng = np.random.default_rng(seed)
    W, b, xs = (rng.standard_normal(shape).astype(dtype) for shape in ((H, V), (V,), (N, T, H)))
    ts = rng.integers(-1, V, (N, T))
    ts[0, 0] = V - 1
    return W, b, xs, ts


def two_layers(W: Any, b: Any, xs: Any, ts: Any, dout: float = 1.0) -> tuple[Any, ...]:
    affine, softmax = TimeAffine(W, b), TimeSoftmaxWithLoss()
    loss = softmax.forward(affine.forward(xs), ts)
    dxs = affine.backward(softmax.backward(dout))
    return loss, dxs, *affine.grads


def set_rows_per_chunk(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(output, "CHUNK_SCORES", rows * V)
    monkeypatch.setattr(output, "LEAST_ROWS", 1)
    assert output.rows_per_chunk(100 * rows, V) == rows


@settings(derandomize=True, deadline=None, max_examples=30, database=None)
@given(
    N=st.integers(1, 4),
    T=st.integers(1, 5),
    H=st.integers(1, 4),
    V=st.integers(1, 8),
    chunk=st.integers(1, 80),
    dout=st.sampled_from([1, 0.5, -2.0]),
    seed=st.integers(0, 99),
)
def test_equals_affine_and_softmax(
    N: int, T: int, H: int, V: int, chunk: int, dout: float, seed: int
) -> None:
    W, b, xs, ts = case(seed, N, T, H, V)
    layer = TimeAffineSoftmaxWithLoss(W, b)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "CHUNK_SCORES", chunk)
        results = layer.forward(xs, ts), layer.backward(dout), *layer.grads
    for ours, theirs in zip(results, two_layers(W, b, xs, ts, dout), strict=True):
        assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("rows", [1, 3, 5, 10, 11])
def test_any_number_of_chunks_gives_the_same(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """10 rows in chunks of 1, 3 (the last one shorter), 5, 10 and 11; twice, with other numbers between."""
    W, b, xs, ts = case()
    set_rows_per_chunk(monkeypatch, rows)
    layer = TimeAffineSoftmaxWithLoss(W, b)
    for block, targets in ((xs, ts), (-xs, ts[::-1]), (xs, ts)):
        results = layer.forward(block, targets), layer.backward(), *layer.grads
        for ours, theirs in zip(results, two_layers(W, b, block, targets), strict=True):
            assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("T", [1, 2, 5])
def test_gradients_of_the_second_block_agree_with_differences(
    monkeypatch: pytest.MonkeyPatch, T: int
) -> None:
    set_rows_per_chunk(monkeypatch, 4)
    W, b, xs, ts = case(T=T)
    report = check_gradients(TimeAffineSoftmaxWithLoss(W, b), xs, ts, before=-xs)
    assert [row.name for row in report.rows] == ["params[0]", "params[1]", "input"]
    assert report.passed


@pytest.mark.parametrize("rows", [3, 99])
def test_without_train_flg_only_the_loss_is_computed(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    W, b, xs, ts = case()
    set_rows_per_chunk(monkeypatch, rows)
    layer = TimeAffineSoftmaxWithLoss(W, b)
    loss = layer.forward(xs, ts)
    for grad in layer.grads:
        grad[...] = 5
    layer.train_flg = False
    assert_allclose(layer.forward(xs, ts), loss)
    assert all((grad == 5).all() for grad in layer.grads)


def test_gradient_may_be_a_view_of_another_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tied weights: W is the transpose of the embedding, and so is dW."""
    set_rows_per_chunk(monkeypatch, 4)
    W, b, xs, ts = case()
    embedding, d_embedding = np.ascontiguousarray(W.T), np.full((V, H), 9.0)
    layer = TimeAffineSoftmaxWithLoss(embedding.T, b, dW=d_embedding.T)
    layer.forward(xs, ts)
    layer.backward(2.0)
    assert np.shares_memory(layer.grads[0], d_embedding)
    assert_allclose(d_embedding.T, two_layers(W, b, xs, ts, 2.0)[2], atol=1e-13)


@pytest.mark.parametrize("train_flg", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_has_the_dtype_of_the_weights(
    monkeypatch: pytest.MonkeyPatch, dtype: Any, train_flg: bool
) -> None:
    set_rows_per_chunk(monkeypatch, 4)
    W, b, xs, ts = case(dtype=dtype)
    layer = TimeAffineSoftmaxWithLoss(W, b)
    layer.train_flg = train_flg
    loss = layer.forward(xs, ts)
    assert type(loss) is float
    assert_allclose(loss, two_layers(*case())[0], rtol=1e-5)
    if train_flg:
        assert {a.dtype for a in (layer.backward(), *layer.grads)} == {np.dtype(dtype)}


def test_scores_of_ten_thousand_do_not_overflow() -> None:
    W, b, xs = np.array([[1e4, -1e4, 0.0]], dtype="f"), np.zeros(3, dtype="f"), np.ones((1, 1, 1), dtype="f")
    layer = TimeAffineSoftmaxWithLoss(W, b)
    assert_allclose(layer.forward(xs, np.array([[1]])), 2e4)
    layer.backward()
    assert_allclose(layer.grads[1], [1, -1, 0])
    layer.train_flg = False
    assert_allclose(layer.forward(xs, np.array([[1]])), 2e4)


def test_ignored_positions_have_no_gradient() -> None:
    W, b, xs, ts = case()
    layer = TimeAffineSoftmaxWithLoss(W, b)
    layer.forward(xs, ts)
    assert (ts == -1).any()
    assert_array_equal(layer.backward().any(axis=2), ts != -1)


@pytest.mark.parametrize("rows", [2, 99])
def test_log_probs_of_targets_equal_the_whole_distribution(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    set_rows_per_chunk(monkeypatch, rows)
    W, b, xs, _ = case()
    flat, targets = xs.reshape(N * T, H), np.arange(N * T) % V
    whole = output.log_probs(flat, W, b)
    assert_allclose(np.exp(whole).sum(axis=1), np.ones(N * T))
    assert_allclose(output.target_log_probs(flat, targets, W, b), whole[np.arange(N * T), targets])
    for k in range(N * T):
        loss, _ = oracle.softmax_cross_entropy((flat[k] @ W + b)[None, None], targets[None, k : k + 1])
        assert_allclose(whole[k, targets[k]], -loss)


@pytest.mark.parametrize("words", [1, 2, V - 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_of_a_large_vocabulary_are_those_of_all_words_at_once(
    monkeypatch: pytest.MonkeyPatch, words: int, dtype: str
) -> None:
    W, b, xs, _ = (array.astype(dtype) for array in case())
    flat, targets = xs.reshape(N * T, H), np.arange(N * T) % V
    whole = output.target_log_probs(flat, targets, W, b)
    monkeypatch.setattr(output, "LARGE", V - 1)
    monkeypatch.setattr(output, "WORDS_AT_ONCE", words)
    set_rows_per_chunk(monkeypatch, 2)
    in_parts = output.target_log_probs(flat, targets, W, b)
    assert_allclose(in_parts, whole, rtol=1e-5 if dtype == "float32" else 1e-12)


def test_inputs_are_left_as_they_were_and_their_layout_does_not_matter() -> None:
    arrays = case()
    kept = [a.copy() for a in arrays]
    W, b, xs, ts = arrays
    layer = TimeAffineSoftmaxWithLoss(W, b)
    results = [layer.forward(xs, ts), *(a.copy() for a in (layer.backward(2), *layer.grads))]
    for array, value in zip(arrays, kept, strict=True):
        assert_array_equal(array, value)
    again = layer.forward(np.asfortranarray(xs), np.asfortranarray(ts)), layer.backward(2), *layer.grads
    for ours, theirs in zip(again, results, strict=True):
        assert_array_equal(ours, theirs)


@pytest.mark.parametrize("train_flg", [True, False])
def test_wrong_shapes_and_targets_are_errors(train_flg: bool) -> None:
    W, b, xs, ts = case()
    layer = TimeAffineSoftmaxWithLoss(W, b)
    layer.train_flg = train_flg
    with pytest.raises(ShapeError, match=r"\(N, T, 3\), got \(2, 5, 4\)"):
        layer.forward(np.zeros((N, T, H + 1)), ts)
    with pytest.raises(ShapeError, match=r"\(2, 5\), got \(5, 2\)"):
        layer.forward(xs, ts.T)
    with pytest.raises(ShapeError, match=r"\[0, 7\).*7"):
        layer.forward(xs, np.full((N, T), V))
    with pytest.raises(ShapeError, match="ignore_label"):
        layer.forward(xs, np.full((N, T), -1))
    with pytest.raises(ShapeError, match=r"b must be \(7,\), got \(8,\)"):
        TimeAffineSoftmaxWithLoss(W, np.zeros(V + 1))
