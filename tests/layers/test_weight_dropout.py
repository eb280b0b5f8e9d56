"""Dropout of weights: one mask a block, over Wh or over the rows of an embedding."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ConfigError
from elman.gradcheck import check_gradients
from elman.layers import TimeEmbedding
from elman.layers.dropout import WeightDropout
from support.recurrent import KINDS, Kind

N, T, D, H, V = 2, 5, 3, 4, 9
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
like = np.zeros(1)


class SameMask(WeightDropout):
    """Draws the same mask for every block, so that differences can be taken."""

    def draw(self, like: Any) -> None:
        self.rng = np.random.default_rng(5)
        super().draw(like)


def recurrent(kind: Kind, ratio: float = 0.5, seed: int = 0, Dropout: Any = SameMask) -> Any:
    layer = kind.Time(*kind.weights(np.random.default_rng(seed), D, H), stateful=True)
    layer.dropout = Dropout(ratio, layer.Wh.shape, np.random.default_rng(seed))
    return layer


def blocks(*shape: int, count: int = 3) -> list[Any]:
    return list(np.random.default_rng(1).standard_normal((count, *shape)))


def test_a_fraction_is_dropped_and_the_rest_scaled() -> None:
    dropout = WeightDropout(0.3, (200, 500), np.random.default_rng(0))
    mask = dropout.begin(like)
    assert mask is not None
    assert_allclose(np.unique(mask), [0, 1 / 0.7])
    assert (mask == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert mask.mean() == pytest.approx(1, abs=0.01)
    first = mask.copy()
    assert (dropout.begin(like) != first).any()


def test_no_mask_is_drawn_when_not_training() -> None:
    dropout = WeightDropout(0.3, (2, 3), np.random.default_rng(0))
    dropout.train_flg = False
    assert dropout.begin(like) is None
    assert dropout.rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1, float("nan")])
def test_a_ratio_out_of_range_is_an_error(ratio: float) -> None:
    with pytest.raises(ConfigError, match=rf"\(0, 1\), got {ratio}"):
        WeightDropout(ratio, (2, 3), np.random.default_rng(0))


# Wh


@every_kind
def test_a_block_is_read_with_the_weights_of_the_mask(kind: Kind) -> None:
    """Against the oracle, block after block: outputs, the gradient of the input, and that of every weight."""
    layer = recurrent(kind, Dropout=WeightDropout)
    states = kind.zero_states(N, H)
    weights = [layer.params[0], layer.Wh, *layer.params[2:]]
    for xs, dhs in zip(blocks(N, T, D), blocks(N, T, H), strict=True):
        hs = layer.forward(xs)
        mask = layer._mask
        dropped = [weights[0], layer.Wh * mask, *weights[2:]]
        expected, after = kind.forward(xs, dropped, *states)
        assert_allclose(hs, expected, rtol=1e-10)
        dxs, grads, _ = oracle.backward_through_time(kind.Step, dropped, xs, dhs, *states)
        grads[1] *= mask
        assert_allclose(layer.backward(dhs), dxs, rtol=1e-9, atol=1e-13)
        for ours, theirs in zip(layer.grads, grads, strict=True):
            assert_allclose(ours, theirs, rtol=1e-9, atol=1e-13)
        states = after


@every_kind
@pytest.mark.parametrize("T", [1, 2, 5])
def test_gradients_agree_with_differences_for_a_fixed_mask(kind: Kind, T: int) -> None:
    before, xs, _ = blocks(N, T, D)
    report = check_gradients(recurrent(kind), xs, before=before)
    assert report.passed, report


@every_kind
def test_the_weights_stay_the_same_objects_and_have_no_gradient_where_dropped(kind: Kind) -> None:
    layer = recurrent(kind)
    kept, arrays = layer.Wh.copy(), [id(a) for a in (*layer.params, *layer.grads)]
    layer.backward(layer.forward(blocks(N, T, D)[0]))
    assert_array_equal(layer.Wh, kept)
    assert [id(a) for a in (*layer.params, *layer.grads)] == arrays
    dropped = layer._mask == 0
    assert dropped.any()
    assert not layer.dWh[dropped].any()
    assert layer.dWh[~dropped].any()


@every_kind
def test_when_not_training_the_layer_is_one_without_dropout(kind: Kind) -> None:
    layer, plain = recurrent(kind), recurrent(kind)
    plain.dropout = None
    xs, dhs = blocks(N, T, D)[0], blocks(N, T, H)[0]
    layer.forward(xs)
    layer.reset_state()
    layer.dropout.train_flg = False
    assert_array_equal(layer.forward(xs), plain.forward(xs))
    assert_array_equal(layer.backward(dhs), plain.backward(dhs))
    assert_array_equal(layer.dWh, plain.dWh)


# Rows of an embedding


def embedding(ratio: float = 0.5, tied: bool = False) -> TimeEmbedding:
    layer = TimeEmbedding(np.random.default_rng(0).standard_normal((V, D)), tied)
    layer.dropout = WeightDropout(ratio, (V, 1), np.random.default_rng(3))
    return layer


def ids_of_blocks() -> list[Any]:
    return list(np.random.default_rng(2).integers(0, V, (4, N, T)))


def test_a_word_is_dropped_at_all_its_places_in_a_block() -> None:
    layer = embedding()
    ever: set[int] = set()
    for ids in ids_of_blocks():
        vectors = layer.forward(ids)
        assert layer.dropout is not None
        factors = layer.dropout._mask[ids]  # (N, T, 1)
        assert_allclose(vectors, layer.params[0][ids] * factors)
        dropped, kept = (set(ids[factors[:, :, 0] == 0]), set(ids[factors[:, :, 0] > 0]))
        assert dropped.isdisjoint(kept)
        ever |= dropped
    assert ever


@pytest.mark.parametrize("tied", [False, True])
def test_the_gradient_is_that_of_the_rows_as_they_were_read(tied: bool) -> None:
    layer = embedding(tied=tied)
    W, (dW,) = layer.params[0], layer.grads
    for ids, dout in zip(ids_of_blocks(), blocks(N, T, D, count=4), strict=True):
        dW[...] = 1 if tied else dW  # what the output layer has written
        layer.forward(ids)
        layer.backward(dout)
        assert layer.dropout is not None
        expected = oracle.embedding_backward(ids, dout * layer.dropout._mask[ids], W)
        assert_allclose(dW, expected + tied, rtol=1e-10)
        if not tied:
            assert_array_equal(layer.rows, np.unique(ids))


def test_words_are_not_dropped_when_not_training() -> None:
    layer = embedding()
    assert layer.dropout is not None
    layer.dropout.train_flg = False
    ids = ids_of_blocks()[0]
    assert_array_equal(layer.forward(ids), layer.params[0][ids])
