"""The output layer's vocabulary in parts, one for each thread: any number of parts gives the same."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from elman.gradcheck import check_gradients
from elman.layers import TimeAdaptiveSoftmaxWithLoss, TimeAffineSoftmaxWithLoss, output
from elman.layers.adaptive import AdaptiveWeights
from elman.layers.output import VocabularyPart
from elman.workers import Task, use_workers
from support.loops import CAN_COMPILE, switch_jit

N, T, H, V = 2, 5, 3, 7
numbers_of_parts = pytest.mark.parametrize("number", [1, 2, 3, V, V + 3])


@pytest.fixture(autouse=True)
def _parts_of_one_word_are_large_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LEAST_WORDS", 1)


@pytest.fixture(params=[False, True], ids=["NumPy's passes", "compiled loops"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param and not CAN_COMPILE:
        pytest.skip("numba is not in use")
    switch_jit(monkeypatch, request.param)
    with np.errstate(all="ignore"):  # as the trainer does
        yield


both_ways = pytest.mark.usefixtures("_both_ways")


def case(
    seed: int = 0, N: int = N, T: int = T, H: int = H, V: int = V, dtype: Any = np.float64
) -> tuple[Any, Any, Any, Any]:
    """Return W, b, xs (N, T, H) and targets (N, T) of all words, a few of which are ignored."""
    rng = np.random.default_rng(seed)
    W, b, xs = (rng.standard_normal(shape).astype(dtype) for shape in ((H, V), (V,), (N, T, H)))
    ts = rng.integers(-1, V, (N, T))
    ts[0, 0] = V - 1
    return W, b, xs, ts


def outcome(layer: Any, xs: Any, ts: Any, number: int, dout: float = 1.0) -> list[Any]:
    with use_workers(number):
        found = [layer.forward(xs, ts), layer.backward(dout), *layer.grads]
    return [np.copy(array) for array in found]


def assert_same(ours: list[Any], theirs: list[Any], rtol: float = 1e-12, atol: float = 1e-14) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert_allclose(a, b, rtol=rtol, atol=atol)


@settings(derandomize=True, deadline=None, max_examples=40, database=None)
@given(
    N=st.integers(1, 4),
    T=st.integers(1, 5),
    H=st.integers(1, 4),
    V=st.integers(1, 12),
    number=st.integers(1, 14),
    chunk=st.integers(1, 80),
    dout=st.sampled_from([1, 0.5, -2.0]),
    seed=st.integers(0, 99),
)
def test_any_number_of_parts_and_chunks_gives_the_same(
    N: int, T: int, H: int, V: int, number: int, chunk: int, dout: float, seed: int
) -> None:
    W, b, xs, ts = case(seed, N, T, H, V)
    one, several = TimeAffineSoftmaxWithLoss(W, b), TimeAffineSoftmaxWithLoss(W, b)
    with pytest.MonkeyPatch.context() as patch:
        for block, targets in ((xs, ts), (-xs, np.where(ts < 0, ts, V - 1 - ts))):
            patch.undo()
            expected = outcome(one, block, targets, 1, dout)
            patch.setattr(output, "LEAST_WORDS", 1)
            patch.setattr(output, "CHUNK_SCORES", chunk)
            assert_same(outcome(several, block, targets, number, dout), expected)


@both_ways
@numbers_of_parts
@pytest.mark.parametrize("rows", [3, 99])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parts_in_either_precision(
    monkeypatch: pytest.MonkeyPatch, number: int, rows: int, dtype: Any
) -> None:
    expected = outcome(TimeAffineSoftmaxWithLoss(*case()[:2]), *case()[2:], 1)
    monkeypatch.setattr(output, "CHUNK_SCORES", rows * V)
    W, b, xs, ts = case(dtype=dtype)
    layer = TimeAffineSoftmaxWithLoss(W, b)
    for _ in range(2):
        found = outcome(layer, xs, ts, number)
        assert_same(found, expected, *((1e-5, 1e-6) if dtype == np.float32 else (1e-12, 1e-14)))
        assert {array.dtype for array in found[1:]} == {np.dtype(dtype)}


@numbers_of_parts
def test_there_is_one_part_per_worker_and_they_cover_the_words(number: int) -> None:
    W, b, xs, ts = case()
    layer = TimeAffineSoftmaxWithLoss(W, b)
    outcome(layer, xs, ts, number)
    words = [v for part in layer._parts for v in range(V)[part.words]]
    assert words == list(range(V))
    assert len(layer._parts) == min(number, V)


def test_small_vocabularies_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LEAST_WORDS", 4)
    for words, parts in ((7, 1), (8, 2), (11, 2), (12, 3)):
        W, b, xs, ts = case(V=words)
        layer = TimeAffineSoftmaxWithLoss(W, b)
        outcome(layer, xs, ts, 5)
        assert len(layer._parts) == parts


def test_parts_are_made_again_only_when_a_shape_or_the_number_of_workers_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []

    def counting(*arguments: Any) -> VocabularyPart:
        made.append(arguments)
        return VocabularyPart(*arguments)

    monkeypatch.setattr(output, "VocabularyPart", counting)
    W, b, xs, ts = case()
    layer = TimeAffineSoftmaxWithLoss(W, b)
    expected = outcome(layer, xs, ts, 1)
    counts = []
    for block, targets, number in (
        (xs, ts, 1),
        (xs, ts, 2),
        (xs, ts, 2),
        (xs[:, :3], ts[:, :3], 2),
        (xs[:1], ts[:1], 2),
        (xs[:1], ts[:1], 2),
        (xs, ts, 3),
    ):
        made.clear()
        found = outcome(layer, block, targets, number)
        counts.append(len(made))
    assert counts == [0, 2, 0, 2, 2, 0, 3]
    assert_same(found, expected)


@pytest.mark.parametrize("number", [1, 2])
def test_the_number_of_rows_may_change_while_that_of_a_chunk_does_not(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(output, "CHUNK_SCORES", T * V)
    W, b, _, _ = case()
    layer = TimeAffineSoftmaxWithLoss(W, b)
    for sequences in (2, 1, 3):
        xs, ts = case(sequences, N=sequences)[2:]
        assert output.rows_per_chunk(sequences * T, V) == T
        assert_same(outcome(layer, xs, ts, number), outcome(TimeAffineSoftmaxWithLoss(W, b), xs, ts, 1))


# Any order that the dependencies allow


@pytest.mark.parametrize("seed", range(10))
def test_every_allowed_order_of_tasks_gives_the_same(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """One part may be far ahead of another."""
    W, b, xs, ts = case()
    expected = outcome(TimeAffineSoftmaxWithLoss(W, b), xs, ts, 1)
    rng = np.random.default_rng(seed)

    def in_any_order(tasks: Sequence[Task]) -> None:
        left = list(tasks)
        while left:
            ready = [task for task in left if task.ready]
            task = ready[-1] if seed == 0 else ready[rng.integers(len(ready))]
            task.run()
            task.done = True
            left.remove(task)

    monkeypatch.setattr(output, "CHUNK_SCORES", 2 * V)
    monkeypatch.setattr(output, "run_tasks", in_any_order)
    assert_same(outcome(TimeAffineSoftmaxWithLoss(W, b), xs, ts, 3), expected)


# Proofs and corners


@numbers_of_parts
@pytest.mark.parametrize("rows", [3, 99])
def test_gradients_of_the_second_block_agree_with_differences(
    monkeypatch: pytest.MonkeyPatch, number: int, rows: int
) -> None:
    monkeypatch.setattr(output, "CHUNK_SCORES", rows * V)
    W, b, xs, ts = case()
    with use_workers(number):
        report = check_gradients(TimeAffineSoftmaxWithLoss(W, b), xs, ts, before=-xs, max_entries=10)
    assert [row.name for row in report.rows] == ["params[0]", "params[1]", "input"]
    assert report.passed


@both_ways
@numbers_of_parts
def test_every_target_in_whatever_part_it_is(number: int) -> None:
    W, b, xs, _ = case(dtype=np.float32)
    layer, exact = TimeAffineSoftmaxWithLoss(W, b), TimeAffineSoftmaxWithLoss(*case()[:2])
    for target in range(V):
        ts = np.full((N, T), target)
        ts[1, 1] = -1
        assert_same(outcome(layer, xs, ts, number), outcome(exact, case()[2], ts, 1), 1e-5, 1e-6)


@both_ways
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_scores_of_ten_thousand_in_one_part_and_as_far_below_in_another(
    number: int, sign: int, dtype: Any
) -> None:
    """Four words, the first two with scores of ±10,000, the others with the opposite; every target in turn."""
    score = 1e4 * np.array([sign, sign, -sign, -sign])
    W, b, xs = score[None].astype(dtype), np.zeros(4, dtype), np.ones((1, 1, 1), dtype)
    layer = TimeAffineSoftmaxWithLoss(W, b)
    for target in range(4):
        with use_workers(number):
            loss = layer.forward(xs, np.array([[target]]))
            layer.backward()
        assert_allclose(loss, np.log(2) + 1e4 - score[target], rtol=1e-6)
        probs = (score > 0) / 2
        probs[target] -= 1
        assert_allclose(layer.grads[1], probs, atol=1e-6)
        assert_allclose(layer.grads[0][0], probs, atol=1e-6)


@both_ways
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_words_of_probability_zero_do_not_affect_the_others(number: int, dtype: Any) -> None:
    """Their scores are -infinity; each part has words that can come."""
    W, b, xs, ts = case(V=9, dtype=dtype)
    ts[(ts == 3) | (ts == 4) | (ts == 6)] = 5
    b[[3, 4, 6]] = -np.inf
    possible = [0, 1, 2, 5, 7, 8]
    place = np.full(9, -1)
    place[possible] = range(6)
    few = TimeAffineSoftmaxWithLoss(W[:, possible].astype("d"), b[possible].astype("d"))
    loss, dxs, dW, db = outcome(few, xs.astype("d"), np.where(ts < 0, ts, place[ts]), 1)
    found = outcome(TimeAffineSoftmaxWithLoss(W, b), xs, ts, number)
    assert_same(
        [found[0], found[1], found[2][:, possible], found[3][possible]], [loss, dxs, dW, db], 1e-5, 1e-6
    )
    assert not found[2][:, [3, 4, 6]].any()


@both_ways
@pytest.mark.parametrize("train_flg", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_nan_score_gives_a_nan_loss(number: int, dtype: Any, train_flg: bool) -> None:
    """Whether all of a row's scores are NaN, or those of one word; of either sign, which processors choose."""
    for bad in (np.nan, -np.nan, np.inf):
        for where in range(3):
            W, b, xs, ts = case(dtype=dtype)
            ts[ts < 0] = 0
            (xs[1, 2], W[:, 4], b[4:5])[where][...] = bad
            layer = TimeAffineSoftmaxWithLoss(W, b)
            layer.train_flg = train_flg
            with use_workers(number):
                assert np.isnan(layer.forward(xs, ts))


@both_ways
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_nan_row_does_not_affect_the_gradients_of_the_others(number: int) -> None:
    W, b, xs, ts = case(dtype=np.float32)
    ts[ts < 0] = 0
    expected = outcome(TimeAffineSoftmaxWithLoss(W, b), xs, ts, 1)[1]
    xs[1, 2] = np.nan
    dxs = outcome(TimeAffineSoftmaxWithLoss(W, b), xs, ts, number)[1]
    assert np.isnan(dxs[1, 2]).all()
    dxs[1, 2] = expected[1, 2]
    assert_allclose(dxs, expected, atol=1e-6)


@numbers_of_parts
def test_tied_weights_of_which_the_gradient_is_a_view(number: int) -> None:
    W, b, xs, ts = case()
    embedding, d_embedding = np.ascontiguousarray(W.T), np.full((V, H), 9.0)
    layer = TimeAffineSoftmaxWithLoss(embedding.T, b, dW=d_embedding.T)
    found = outcome(layer, xs, ts, number)
    assert_same(found, outcome(TimeAffineSoftmaxWithLoss(W, b), xs, ts, 1))
    assert_array_equal(d_embedding.T, found[2])


@numbers_of_parts
def test_without_training_the_loss_is_the_same_and_no_gradient_is_touched(number: int) -> None:
    W, b, xs, ts = case()
    layer = TimeAffineSoftmaxWithLoss(W, b)
    expected = layer.forward(xs, ts)
    for grad in layer.grads:
        grad[...] = 5
    layer.train_flg = False
    with use_workers(number):
        assert_allclose(layer.forward(xs, ts), expected, rtol=1e-12)
    assert all((grad == 5).all() for grad in layer.grads)


@numbers_of_parts
def test_a_copy_of_a_layer_learns_as_the_layer_does(number: int) -> None:
    """Copied after its parts have been made: they are parts of the copy's weights."""
    W, b, xs, ts = case()
    layer = TimeAffineSoftmaxWithLoss(W, b)
    outcome(layer, xs, ts, number)
    twin = copy.deepcopy(layer)
    assert not any(np.shares_memory(p, q) for p, q in zip(layer.params, twin.params, strict=True))
    for one in (layer, twin):
        for _ in range(3):
            outcome(one, xs, ts, number)
            for param, grad in zip(one.params, one.grads, strict=True):
                param -= grad
    assert_same(outcome(twin, xs, ts, number), outcome(layer, xs, ts, number))


@pytest.mark.parametrize("number", [2, 3])
def test_an_adaptive_softmax_in_parts(number: int) -> None:
    rng = np.random.default_rng(0)
    draw = rng.standard_normal
    tails = [(draw((H, 2)), draw((2, 4)), draw(4)), (draw((H, 1)), draw((1, 6)), draw(6))]
    weights = AdaptiveWeights((draw((H, 5)), draw(5)), tails, rng.permutation(13))
    one, other = TimeAdaptiveSoftmaxWithLoss(weights), TimeAdaptiveSoftmaxWithLoss(weights)
    for _ in range(2):
        xs, ts = draw((N, T, H)), rng.integers(-1, 13, (N, T))
        assert_same(outcome(one, xs, ts, number, 2.0), outcome(other, xs, ts, 1, 2.0))
