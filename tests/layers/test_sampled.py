"""The sampled softmax: equal to the full one if every word is drawn, with the same optimum if few are."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError
from elman.gradcheck import check_gradients
from elman.layers import TimeAffineSoftmaxWithLoss, TimeSampledSoftmaxWithLoss
from elman.layers.sampled import inclusion_probabilities
from elman.workers import use_workers

N, T, H, V = 2, 5, 3, 700


def full_layer(seed: int = 0, tied: bool = False, dtype: Any = np.float64) -> TimeAffineSoftmaxWithLoss:
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((V, H)).astype(dtype).T if tied else rng.standard_normal((H, V)).astype(dtype)
    gradient = np.zeros((V, H), dtype).T if tied else None
    return TimeAffineSoftmaxWithLoss(W, rng.standard_normal(V).astype(dtype), gradient)


def sampled(
    full: TimeAffineSoftmaxWithLoss, candidates: int = 40, seed: int = 1
) -> TimeSampledSoftmaxWithLoss:
    counts = np.random.default_rng(2).integers(0, 50, V)
    return TimeSampledSoftmaxWithLoss(full, counts, candidates, np.random.default_rng(seed))


def block(dtype: Any = np.float64) -> tuple[Any, Any]:
    """xs (N, T, H) and targets (N, T), one of which is ignored."""
    rng = np.random.default_rng(3)
    ts = rng.integers(0, V, (N, T))
    ts[1, 2] = -1
    return rng.standard_normal((N, T, H)).astype(dtype), ts


def results(layer: TimeAffineSoftmaxWithLoss, xs: Any, ts: Any, dout: float = 1.0) -> list[Any]:
    return [np.array(found) for found in (layer.forward(xs, ts), layer.backward(dout), *layer.grads)]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_with_every_word_drawn_it_is_the_full_softmax(workers: int, tied: bool, dtype: Any) -> None:
    full = full_layer(tied=tied, dtype=dtype)
    xs, ts = block(dtype)
    expected = results(full, xs, ts, dout=-0.5)
    layer = sampled(full)
    layer.drawn[:] = 1
    with use_workers(workers):
        found = results(layer, xs, ts, dout=-0.5)
    for ours, theirs in zip(found, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-10 if dtype is np.float64 else 1e-4, atol=1e-7)


def test_loss_is_the_equation() -> None:
    layer = sampled(full_layer())
    xs, ts = block()
    loss = layer.forward(xs, ts)
    W, b = layer.params
    C, counted = layer.candidates, ts[ts >= 0]
    p = 1 - (1 - layer.drawn) * (1 - layer.frequency) ** len(counted)
    total = 0.0
    for n in range(N):
        for t in range(T):
            if ts[n, t] >= 0:
                scores = {int(j): float(xs[n, t] @ W[:, j] + b[j] - np.log(p[j])) for j in C}
                total += np.log(sum(map(np.exp, scores.values()))) - scores[int(ts[n, t])]
    assert set(counted) <= set(C)
    assert len(C) < 100
    assert loss == pytest.approx(total / len(counted), rel=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_gradients_agree_with_differences(tied: bool) -> None:
    xs, ts = block()
    layer = sampled(full_layer(tied=tied))

    class SameCandidates:
        params, grads = layer.params, layer.grads

        def forward(self, xs: Any) -> float:
            layer.rng = np.random.default_rng(5)
            return layer.forward(xs, ts)

        def backward(self, dout: float = 1.0) -> Any:
            return layer.backward(dout)

    report = check_gradients(SameCandidates(), xs)
    assert report.passed, report


def test_words_that_are_not_candidates_have_no_gradient_any_more() -> None:
    layer = sampled(full_layer())
    xs, ts = block()
    layer.forward(xs, ts)
    layer.forward(xs, np.roll(ts, 1))
    absent = np.setdiff1d(np.arange(V), layer.candidates)
    assert_array_equal(layer.grads[0][:, absent], 0)
    assert_array_equal(layer.grads[1][absent], 0)
    assert np.all(layer.grads[1][layer.candidates] != 0)


def test_the_mean_gradient_is_zero_where_the_full_softmax_is_right() -> None:
    """Targets from the model's own distribution: on average, no step is left to take."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, V + 1)
    share /= share.sum()
    full = TimeAffineSoftmaxWithLoss(np.zeros((H, V)), np.log(share))
    counts = np.round(share * 1e6).astype(int)
    layer = TimeSampledSoftmaxWithLoss(full, counts, 100, np.random.default_rng(1))
    blocks, gradient = 300, np.zeros(V)
    for _ in range(blocks):
        layer.forward(np.zeros((5, 20, H)), rng.choice(V, (5, 20), p=share))
        gradient += layer.grads[1] / blocks
    for first, last in ((0, 1), (1, 10), (10, 100), (100, V)):
        deviation = np.sqrt(share[first:last].sum() / (blocks * 100))
        assert abs(gradient[first:last].sum()) < 4 * deviation


def test_without_train_flg_it_is_the_full_softmax() -> None:
    full, (xs, ts) = full_layer(), block()
    layer = sampled(full)
    full.train_flg = layer.train_flg = False
    assert layer.forward(xs, ts) == full.forward(xs, ts)


@pytest.mark.parametrize("expected", [1, 50, 650])
def test_the_requested_number_of_words_is_drawn_on_average(expected: int) -> None:
    probabilities = inclusion_probabilities(np.random.default_rng(0).random(V), expected)
    assert probabilities.sum() == pytest.approx(expected, rel=1e-6)
    assert 0 < probabilities.min() < probabilities.max() <= 1


@pytest.mark.parametrize("candidates", [V, 10 * V])
def test_candidates_must_be_fewer_than_words(candidates: int) -> None:
    with pytest.raises(
        ConfigError, match=r"fewer candidates than the vocabulary's 700 words.*`softmax='full'`"
    ):
        sampled(full_layer(), candidates)
