"""The adaptive softmax: against loops over positions, against differences, and as probabilities."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ShapeError
from elman.gradcheck import check_gradients
from elman.layers import TimeAdaptiveSoftmaxWithLoss, adaptive, output
from elman.layers.adaptive import AdaptiveWeights

N, T, H = 3, 5, 4
C, TAILS = 3, ((4, 2), (6, 1))  # words of the head; words and width of each tail cluster
V = C + sum(words for words, _ in TAILS)
HEAD_ONLY, FIRST, SECOND = range(C), range(C, C + 4), range(C + 4, V)  # ranks


def draw_weights(
    seed: int = 0, H: int = H, C: int = C, tails: Any = TAILS, dtype: Any = np.float64
) -> AdaptiveWeights:
    """Weights large enough for every part to matter, and words in no order of frequency."""
    rng = np.random.default_rng(seed)

    def randn(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(dtype)

    head = randn(H, C + len(tails)), randn(C + len(tails))
    drawn = [(randn(H, d), randn(d, words), randn(words)) for words, d in tails]
    return AdaptiveWeights(head, drawn, rng.permutation(C + sum(words for words, _ in tails)))


def block(weights: AdaptiveWeights, seed: int = 0, N: int = N, T: int = T) -> tuple[Any, Any]:
    """xs (N, T, H) and targets (N, T), some of which are ignored, from all over the vocabulary."""
    rng = np.random.default_rng(seed + 100)
    H = weights.head[0].shape[0]
    ts = rng.integers(-1, weights.vocab_size, (N, T))
    ts[0, 0] = rng.integers(weights.vocab_size)
    return rng.standard_normal((N, T, H)).astype(weights.head[0].dtype), ts


def ids_of(weights: AdaptiveWeights, ranks: Any) -> Any:
    """The ids of words of these ranks."""
    return np.argsort(weights.ranks)[np.asarray(ranks)]


def by_loops(weights: AdaptiveWeights, xs: Any, ts: Any) -> list[Any]:
    loss, dxs, grads = oracle.adaptive_softmax(xs, ts, weights.head, weights.tails, weights.ranks)
    return [loss, dxs, *grads]


def by_layer(layer: TimeAdaptiveSoftmaxWithLoss, xs: Any, ts: Any, dout: float = 1.0) -> list[Any]:
    return [layer.forward(xs, ts), layer.backward(dout), *layer.grads]


def assert_same(ours: list[Any], theirs: list[Any], dout: float = 1.0) -> None:
    assert_allclose(ours[0], theirs[0], rtol=1e-10)
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        assert_allclose(a, dout * b, rtol=1e-10, atol=1e-13)


def set_chunk(patch: pytest.MonkeyPatch, scores: int) -> None:
    patch.setattr(output, "CHUNK_SCORES", scores)


@settings(derandomize=True, deadline=None, max_examples=40, database=None)
@given(
    N=st.integers(1, 4),
    T=st.integers(1, 5),
    H=st.integers(1, 4),
    C=st.integers(1, 4),
    tails=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3)), min_size=1, max_size=4),
    chunk=st.integers(1, 40),
    dout=st.sampled_from([1, 0.5, -2.0]),
    seed=st.integers(0, 99),
)
def test_equals_loops_over_positions_block_after_block(
    N: int, T: int, H: int, C: int, tails: Any, chunk: int, dout: float, seed: int
) -> None:
    weights = draw_weights(seed, H, C, tails)
    layer = TimeAdaptiveSoftmaxWithLoss(weights)
    with pytest.MonkeyPatch.context() as patch:
        set_chunk(patch, chunk)
        for k in range(3):
            xs, ts = block(weights, seed + k, N, T)
            assert_same(by_layer(layer, xs, ts, dout), by_loops(weights, xs, ts), dout)


@pytest.mark.parametrize("scores", [1, 10, 10_000])
@pytest.mark.parametrize("T", [1, 2, 5])
def test_gradients_of_the_second_block_agree_with_differences(
    monkeypatch: pytest.MonkeyPatch, T: int, scores: int
) -> None:
    set_chunk(monkeypatch, scores)
    weights = draw_weights()
    xs, ts = block(weights, T=T)
    report = check_gradients(TimeAdaptiveSoftmaxWithLoss(weights), xs, ts, before=-xs)
    assert [row.name for row in report.rows] == [*(f"params[{k}]" for k in range(8)), "input"]
    assert report.passed


@pytest.mark.parametrize("ranks", [HEAD_ONLY, FIRST, SECOND, [0, V - 1], range(V)], ids=str)
def test_gradients_agree_with_differences_whichever_clusters_the_targets_are_in(ranks: Any) -> None:
    weights = draw_weights()
    xs, _ = block(weights)
    ts = np.resize(ids_of(weights, ranks), (N, T))
    ts[1, 2] = -1
    assert check_gradients(TimeAdaptiveSoftmaxWithLoss(weights), xs, ts, before=-xs).passed


# Clusters without a target


def test_a_cluster_without_a_target_has_a_gradient_of_zero_and_names_no_rows() -> None:
    """One block after another touches: both clusters, the first, none, the second, both."""
    weights = draw_weights()
    layer = TimeAdaptiveSoftmaxWithLoss(weights)
    assert [None if rows is None else len(rows) for rows in layer.grad_rows] == [None] * 2 + [0] * 6
    xs, _ = block(weights)
    for ranks in (range(V), [*HEAD_ONLY, *FIRST], HEAD_ONLY, SECOND, range(V)):
        ts = np.resize(ids_of(weights, ranks), (N, T))
        assert_same(by_layer(layer, xs, ts, 2.0), by_loops(weights, xs, ts), 2.0)
        of_head, first, second = layer.grad_rows[:2], layer.grad_rows[2:5], layer.grad_rows[5:]
        assert of_head == [None, None]
        for rows, grads, members in ((first, layer.grads[2:5], FIRST), (second, layer.grads[5:], SECOND)):
            touched = bool(set(members) & set(ranks))
            assert [r is None for r in rows] == [touched] * 3
            assert all(len(r) == 0 for r in rows if r is not None)
            assert [bool(g.any()) for g in grads] == [touched] * 3


def test_a_cluster_whose_targets_are_all_ignored_is_not_touched() -> None:
    weights = draw_weights()
    xs, _ = block(weights)
    ignored = int(ids_of(weights, SECOND)[0])
    ts = np.resize(ids_of(weights, HEAD_ONLY), (N, T))
    ts[1] = ignored
    layer = TimeAdaptiveSoftmaxWithLoss(weights, ignore_label=ignored)
    expected = oracle.adaptive_softmax(xs, ts, weights.head, weights.tails, weights.ranks, ignored)
    assert_same(by_layer(layer, xs, ts), [*expected[:2], *expected[2]])
    assert all(rows is not None and len(rows) == 0 for rows in layer.grad_rows[2:])


# Probabilities


@pytest.mark.parametrize("scores", [1, 10_000])
def test_probabilities_sum_to_1_and_those_of_targets_are_among_them(
    monkeypatch: pytest.MonkeyPatch, scores: int
) -> None:
    set_chunk(monkeypatch, scores)
    weights = draw_weights()
    rows = np.random.default_rng(5).standard_normal((2 * V, H))
    targets = np.arange(2 * V) % V
    whole = adaptive.log_probs(rows, weights)
    assert whole.shape == (2 * V, V)
    assert_allclose(np.exp(whole).sum(axis=1), 1, rtol=1e-12)
    chosen = adaptive.target_log_probs(rows, targets, weights)
    assert_allclose(chosen, whole[np.arange(2 * V), targets], rtol=1e-12)
    for row, target, found in zip(rows, targets, chosen, strict=True):
        assert_allclose(found, -by_loops(weights, row[None, None], target[None, None])[0], rtol=1e-12)


def test_without_ranks_ids_are_in_the_order_of_frequency() -> None:
    weights = draw_weights()
    plain = AdaptiveWeights(weights.head, weights.tails)
    rows = block(weights)[0].reshape(-1, H)
    by_id, by_rank = adaptive.log_probs(rows, weights), adaptive.log_probs(rows, plain)
    assert_array_equal(by_id, by_rank[:, weights.ranks])
    assert (by_id != by_rank).any()


@pytest.mark.parametrize("train_flg", [True, False])
def test_never_keeps_a_score_of_every_word_for_every_row(
    monkeypatch: pytest.MonkeyPatch, train_flg: bool
) -> None:
    set_chunk(monkeypatch, 1 << 14)
    H, C, tails = 2, 100, ((3_000, 1), (12_000, 1))
    weights = draw_weights(0, H, C, tails, np.float32)
    xs, ts = block(weights, 0, 20, 30)
    layer = TimeAdaptiveSoftmaxWithLoss(weights)
    layer.train_flg = train_flg
    layer.forward(xs, ts)
    scores = xs[..., 0].size * weights.vocab_size * 4
    tracemalloc.start()
    layer.forward(xs, ts)
    adaptive.target_log_probs(xs.reshape(-1, H), np.maximum(ts, 0).reshape(-1), weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < scores / 50


# As an output layer


def test_without_train_flg_only_the_loss_is_computed() -> None:
    weights = draw_weights()
    xs, ts = block(weights)
    layer = TimeAdaptiveSoftmaxWithLoss(weights)
    loss = layer.forward(xs, ts)
    for grad in layer.grads:
        grad[...] = 5
    layer.train_flg = False
    assert_allclose(layer.forward(xs, ts), loss)
    layer.forward(xs, np.resize(ids_of(weights, HEAD_ONLY), (N, T)))
    assert all((grad == 5).all() for grad in layer.grads)
    layer.train_flg = True
    assert_same(by_layer(layer, xs, ts), by_loops(weights, xs, ts))


def test_the_arrays_of_params_and_grads_stay_the_same_objects() -> None:
    weights = draw_weights()
    layer = TimeAdaptiveSoftmaxWithLoss(weights)
    assert all(
        a is b
        for a, b in zip(layer.params, [*weights.head, *weights.tails[0], *weights.tails[1]], strict=True)
    )
    before = [id(a) for a in (*layer.params, *layer.grads)]
    for ranks in (range(V), HEAD_ONLY):
        by_layer(layer, block(weights)[0], np.resize(ids_of(weights, ranks), (N, T)))
    assert [id(a) for a in (*layer.params, *layer.grads)] == before
    assert [p.shape for p in layer.params] == [g.shape for g in layer.grads]


@pytest.mark.parametrize("train_flg", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_has_the_dtype_of_the_weights(dtype: Any, train_flg: bool) -> None:
    weights = draw_weights(dtype=dtype)
    xs, ts = block(weights)
    layer = TimeAdaptiveSoftmaxWithLoss(weights)
    layer.train_flg = train_flg
    loss = layer.forward(xs, ts)
    assert type(loss) is float
    assert_allclose(loss, by_loops(draw_weights(), *block(draw_weights()))[0], rtol=1e-5)
    if train_flg:
        assert {a.dtype for a in (layer.backward(), *layer.grads)} == {np.dtype(dtype)}
    rows = xs.reshape(-1, H)
    assert adaptive.log_probs(rows, weights).dtype == dtype
    assert adaptive.target_log_probs(rows, np.maximum(ts, 0).reshape(-1), weights).dtype == dtype


def test_scores_of_ten_thousand_do_not_overflow() -> None:
    head = np.array([[1e4, -1e4]], dtype="f"), np.zeros(2, dtype="f")
    tail = np.ones((1, 1), dtype="f"), np.array([[1e4, -1e4]], dtype="f"), np.zeros(2, dtype="f")
    layer = TimeAdaptiveSoftmaxWithLoss(AdaptiveWeights(head, [tail]))
    xs = np.ones((1, 1, 1), dtype="f")
    assert_allclose(layer.forward(xs, np.array([[2]])), 4e4)
    layer.backward()
    assert_allclose(layer.grads[1], [1, -1])
    assert_allclose(layer.grads[4], [1, -1])


def test_ignored_positions_have_no_gradient() -> None:
    weights = draw_weights()
    xs, ts = block(weights)
    layer = TimeAdaptiveSoftmaxWithLoss(weights)
    layer.forward(xs, ts)
    assert (ts == -1).any()
    assert_array_equal(layer.backward().any(axis=2), ts != -1)


def test_inputs_are_left_as_they_were_and_their_layout_does_not_matter() -> None:
    weights = draw_weights()
    arrays = [*block(weights), *weights.head, *weights.tails[0], *weights.tails[1], weights.ranks]
    kept = [a.copy() for a in arrays]
    xs, ts = arrays[:2]
    layer = TimeAdaptiveSoftmaxWithLoss(weights)
    results = [np.copy(a) for a in by_layer(layer, xs, ts, 2.0)]
    for array, value in zip(arrays, kept, strict=True):
        assert_array_equal(array, value)
    for ours, theirs in zip(
        by_layer(layer, np.asfortranarray(xs), np.asfortranarray(ts), 2.0), results, strict=True
    ):
        assert_array_equal(ours, theirs)


@pytest.mark.parametrize("train_flg", [True, False])
def test_wrong_shapes_and_targets_are_errors(train_flg: bool) -> None:
    weights = draw_weights()
    xs, ts = block(weights)
    layer = TimeAdaptiveSoftmaxWithLoss(weights)
    layer.train_flg = train_flg
    with pytest.raises(ShapeError, match=r"\(N, T, 4\), got \(3, 5, 5\)"):
        layer.forward(np.zeros((N, T, H + 1)), ts)
    with pytest.raises(ShapeError, match=r"\(3, 5\), got \(5, 3\)"):
        layer.forward(xs, ts.T)
    with pytest.raises(ShapeError, match=rf"\[0, {V}\).*{V}"):
        layer.forward(xs, np.full((N, T), V))
    with pytest.raises(ShapeError, match="ignore_label"):
        layer.forward(xs, np.full((N, T), -1))


def test_weights_that_do_not_fit_are_errors() -> None:
    weights = draw_weights()
    (W, b), (P, W_1, b_1) = weights.head, weights.tails[0]
    with pytest.raises(ShapeError, match=r"the head: b must be \(5,\), got \(4,\)"):
        AdaptiveWeights((W, b[1:]), weights.tails)
    with pytest.raises(ShapeError, match=r"tail cluster 1: P must be \(4, 2\), got \(2, 4\)"):
        AdaptiveWeights((W, b), [(P.T, W_1, b_1)])
    with pytest.raises(ShapeError, match=r"tail cluster 2: b must be \(4,\), got \(3,\)"):
        AdaptiveWeights((W, b), [(P, W_1, b_1), (P, W_1, b_1[1:])])
    with pytest.raises(ShapeError, match=r"an adaptive softmax: ranks must be \(13,\), got \(12,\)"):
        AdaptiveWeights((W, b), weights.tails, weights.ranks[1:])
    for tails in ([], [(P, W_1, b_1)] * 5):
        with pytest.raises(ShapeError, match=rf"a head of 5 entries .* and {len(tails)} clusters"):
            AdaptiveWeights((W, b), tails)
