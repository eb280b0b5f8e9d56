"""TimeBidirectional: two layers, the second of which reads every sequence from its own end."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import oracle
from elman.errors import ConfigError, ShapeError
from elman.gradcheck import check_gradients
from elman.layers import Layer, TimeBidirectional, TimeRNN
from support.recurrent import KINDS, Kind

N, D, H = 3, 2, 3
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def make(kind: Kind, dtype: Any = np.float64, seed: int = 0) -> tuple[TimeBidirectional, list[list[Any]]]:
    """Return the layer, and the weights of its two layers."""
    rng = np.random.default_rng(seed)
    weights = [kind.weights(rng, D, H, dtype) for _ in range(2)]
    return TimeBidirectional(*(kind.Time(*each) for each in weights)), weights


def by_hand(kind: Kind, weights: list[list[Any]], xs: Any, dhs: Any, lengths: list[int]) -> list[Any]:
    """Return hs, dxs and all gradients by the oracle, one sequence at a time, without its padding."""
    hs, dxs = np.zeros_like(dhs), np.zeros_like(xs)
    grads = [[np.zeros_like(w) for w in each] for each in weights]
    for n, L in enumerate(lengths):
        for way, turn in enumerate((slice(None), slice(None, None, -1))):
            x, dh = xs[n : n + 1, :L][:, turn], dhs[n : n + 1, :L, way * H : (way + 1) * H][:, turn]
            zero = kind.zero_states(1, H)
            hs[n, :L, way * H : (way + 1) * H] = kind.forward(x, weights[way], *zero)[0][0][turn]
            dx, found, _ = oracle.backward_through_time(kind.Step, weights[way], x, dh, *zero)
            dxs[n, :L] += dx[0][turn]
            for total, grad in zip(grads[way], found, strict=True):
                total += grad
    return [hs, dxs, *grads[0], *grads[1]]


@every_kind
@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize("ragged", [False, True])
def test_equals_the_oracle(kind: Kind, T: int, ragged: bool) -> None:
    rng = np.random.default_rng(T)
    layer, weights = make(kind)
    xs, dhs = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, 2 * H))
    lengths = [T, 1, max(T - 1, 1)] if ragged else [T] * N
    layer.forward(rng.standard_normal((N, T, D)))  # an earlier block leaves nothing behind
    hs = layer.forward(xs, lengths if ragged else None)
    dxs = layer.backward(dhs)
    expected = by_hand(kind, weights, xs, dhs, lengths)
    for ours, theirs in zip([hs, dxs, *layer.grads], expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@every_kind
@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize("ragged", [False, True])
def test_gradients_agree_with_differences(kind: Kind, T: int, ragged: bool) -> None:
    rng = np.random.default_rng(T)
    layer, _ = make(kind)
    lengths = [np.array([T, (T + 1) // 2])] if ragged else []
    xs, before = rng.standard_normal((2, 2, T, D))
    report = check_gradients(layer, xs, *lengths, before=before)
    assert [row.name for row in report] == [f"params[{k}]" for k in range(len(layer.params))] + ["input"]
    assert report.passed, report


def test_every_output_depends_on_the_whole_sequence() -> None:
    layer, _ = make(KINDS["rnn"])
    xs = np.random.default_rng(0).standard_normal((1, 4, D))
    before = layer.forward(xs).copy()
    xs[0, 3] += 1
    after = layer.forward(xs)
    assert_array_equal(after[0, :3, :H], before[0, :3, :H])
    assert (after[0, :, H:] != before[0, :, H:]).all()


def test_padding_changes_nothing() -> None:
    layer, _ = make(KINDS["lstm"])
    rng = np.random.default_rng(0)
    xs, dhs = rng.standard_normal((N, 5, D)), rng.standard_normal((N, 5, 2 * H))
    lengths = np.array([2, 5, 3], np.uint8)

    def run() -> list[Any]:
        return [layer.forward(xs, lengths).copy(), layer.backward(dhs).copy(), *map(np.copy, layer.grads)]

    expected = run()
    for n, L in enumerate(lengths):
        assert not expected[0][n, L:].any()
        assert not expected[1][n, L:].any()
        xs[n, L:], dhs[n, L:] = 9.0, 9.0
    for ours, theirs in zip(run(), expected, strict=True):
        assert_array_equal(ours, theirs)


def test_the_two_widths_may_differ() -> None:
    rng = np.random.default_rng(0)
    layer = TimeBidirectional(
        KINDS["gru"].Time(*KINDS["gru"].weights(rng, D, 5)),
        KINDS["rnn"].Time(*KINDS["rnn"].weights(rng, D, 2)),
    )
    report = check_gradients(layer, rng.standard_normal((2, 3, D)))
    assert layer.forward(np.zeros((2, 3, D))).shape == (2, 3, 7)
    assert report.passed, report


@every_kind
def test_projected_input(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    layer = TimeBidirectional(*(kind.Time(None, *kind.weights(rng, D, H)[1:]) for _ in range(2)))
    report = check_gradients(layer, rng.standard_normal((2, 3, kind.gates * H)))
    assert report.passed, report


def test_parameters_are_those_of_the_two_layers() -> None:
    layer, weights = make(KINDS["lstm"])
    both = layer.forward_layer, layer.backward_layer
    for ours, theirs in (
        (layer.params, [*weights[0], *weights[1]]),
        (layer.grads, [*both[0].grads, *both[1].grads]),
    ):
        assert all(a is b for a, b in zip(ours, theirs, strict=True))
    kept = [*layer.params, *layer.grads]
    layer.forward(np.ones((2, 3, D)))
    layer.backward(np.ones((2, 3, 2 * H)))
    assert all(a is b for a, b in zip(kept, [*layer.params, *layer.grads], strict=True))
    assert isinstance(layer, Layer)


@every_kind
def test_arrays_are_kept_from_block_to_block(kind: Kind) -> None:
    layer, _ = make(kind)
    arrays = [(layer.forward(np.ones((2, 3, D))), layer.backward(np.ones((2, 3, 2 * H)))) for _ in range(2)]
    for first, second in zip(*arrays, strict=True):
        assert np.shares_memory(first, second)


def test_backward_twice_gives_the_same_gradients() -> None:
    layer, _ = make(KINDS["gru"])
    rng = np.random.default_rng(0)
    dhs = rng.standard_normal((N, 5, 2 * H))
    layer.forward(rng.standard_normal((N, 5, D)), [5, 2, 3])
    first, second = ([layer.backward(dhs).copy(), *map(np.copy, layer.grads)] for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert_array_equal(one, other)


def test_everything_has_the_dtype_of_the_weights() -> None:
    layer, _ = make(KINDS["lstm"], np.float32)
    rng = np.random.default_rng(0)
    hs = layer.forward(rng.standard_normal((N, 5, D)), [5, 2, 3])
    dxs = layer.backward(rng.standard_normal((N, 5, 2 * H)))
    assert {a.dtype for a in (hs, dxs, *layer.grads)} == {np.dtype(np.float32)}


def rnn(width: int = D, stateful: bool = False) -> TimeRNN:
    return TimeRNN(*KINDS["rnn"].weights(np.random.default_rng(0), width, H), stateful=stateful)


def test_stateful_layers_are_refused() -> None:
    with pytest.raises(ConfigError) as error:
        TimeBidirectional(rnn(), rnn(stateful=True))
    assert str(error.value) == (
        "backward_layer must not be stateful: reading from right to left starts at the end of the text, "
        "so no state goes from one block to the next; make it with `stateful=False`"
    )
    with pytest.raises(ConfigError, match="forward_layer must not be stateful"):
        TimeBidirectional(rnn(stateful=True), rnn())


def test_layers_that_do_not_go_together_are_refused() -> None:
    one = rnn()
    with pytest.raises(ConfigError, match="must be two layers, got the same one twice"):
        TimeBidirectional(one, one)
    with pytest.raises(ShapeError, match="both layers must have the same input width D, got 2 and 5"):
        TimeBidirectional(one, rnn(5))


@pytest.mark.parametrize(
    "lengths", [[5, 5], [5, 0, 5], [5, 6, 5], [5.0, 5.0, 5.0], [[5, 5, 5]], [True, True, True]], ids=str
)
def test_wrong_lengths_are_an_error(lengths: Any) -> None:
    layer, _ = make(KINDS["rnn"])
    with pytest.raises(ShapeError) as error:
        layer.forward(np.zeros((N, 5, D)), lengths)
    assert str(error.value) == (
        f"lengths must be 3 integers from 1 to 5, one for each sequence, got {lengths}"
    )


def test_wrong_shapes_are_an_error() -> None:
    layer, _ = make(KINDS["rnn"])
    with pytest.raises(ShapeError, match=r"xs must be \(N, T, 2\), got \(3, 5, 4\)"):
        layer.forward(np.zeros((N, 5, 4)))
    layer.forward(np.zeros((N, 5, D)))
    with pytest.raises(ShapeError, match=r"the output's shape \(3, 5, 6\), got \(3, 5, 3\)"):
        layer.backward(np.zeros((N, 5, H)))
