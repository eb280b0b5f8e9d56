"""The functions of kernels/numba.py, compiled and as plain Python, against float64 and the oracle."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import oracle
from elman.arrays import Buffers
from elman.layers.kernels import numpy
from support.loops import KERNELS

SIZES = [(1, 1), (5, 3), (1, 17), (5, 100)]  # sequences, units: none a multiple of what a vector unit takes
every_size = pytest.mark.parametrize(("N", "H"), SIZES)
EXTREMES = np.array([0.0, -0.0, 1e-45, -1e-30, 1.0, -1.0, 87.0, -87.5, 1e4, -1e4, 3e38, -3e38], dtype="f")


@pytest.fixture(params=KERNELS)
def kernels(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The kernels; plain Python warns when NumPy's numbers overflow, compiled code does not."""
    with np.errstate(all="ignore"):
        yield KERNELS[request.param]


def draw(seed: int, *shape: int, scale: float = 1.0) -> Any:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype("f")


def empty(*shape: int) -> Any:
    """An array whose contents show where they are not overwritten."""
    return np.full(shape, 777, dtype="f")


def close(ours: Any, theirs: Any, error: float = 1e-6) -> None:
    """float32 numbers are within ``error`` of the exact ones, relative to the largest."""
    assert ours.dtype == np.float32
    assert ours.shape == np.shape(theirs)
    assert np.abs(ours - np.asarray(theirs)).max(initial=0) <= error * max(
        np.abs(theirs).max(initial=0), 1e-30
    )


def exact(*arrays: Any) -> list[Any]:
    return [array.astype(np.float64) for array in arrays]


# Functions of one number


def tanh_of(kernels: Any, x: Any) -> Any:
    """tanh as a loop over an array has it."""
    h = x[None].copy()
    kernels.rnn_step(np.zeros_like(h), h)
    return h[0]


def exp_of(kernels: Any, x: Any) -> Any:
    """exp of numbers up to 0, as a loop over an array has it."""
    row = np.concatenate((x, np.zeros(1, "f")))[None]
    chosen, maxima, sums = empty(1), empty(1), empty(1)
    kernels.exp_scores(row, np.zeros(row.shape[1], "f"), np.zeros(1, np.intp), chosen, maxima, sums)
    assert maxima == 0
    return row[0, :-1]


def points(kernels: Any, low: float, high: float) -> Any:
    """Many float32 numbers in [low, high]; fewer for plain Python."""
    count = 3_000 if kernels is KERNELS["plain"] else 300_000
    return np.random.default_rng(0).uniform(low, high, count).astype("f")


def test_exp_is_exact_to_three_units_and_0_below_its_range(kernels: Any) -> None:
    x = np.append(points(kernels, -87, 0), np.array([-87, -0.0, -1e-45], "f"))
    assert np.abs(exp_of(kernels, x) / np.exp(x.astype("d")) - 1).max() < 3e-7
    below = np.array([-87.00001, -88, -104, -1e4, -3e38, -np.inf], "f")
    assert_array_equal(exp_of(kernels, below), np.zeros(6))
    for number in np.append(points(kernels, -87, 88)[::30], np.float32(88)):
        assert abs(kernels.exp(number) / np.exp(np.float64(number)) - 1) < 3e-7
    assert [kernels.exp(number) for number in below] == [0] * 6
    for number in np.array([88.5, 1e4, 3e38, np.inf], "f"):
        assert 1.6e38 < kernels.exp(number) < np.inf  # so that 1 / (1 + exp) is as good as 0, and no NaN
    assert np.isnan(kernels.exp(np.float32(np.nan)))


@pytest.mark.parametrize("most", [1e-3, 0.7, 2.0, 12.0])
def test_tanh_is_exact_to_three_units(kernels: Any, most: float) -> None:
    x = points(kernels, -most, most)
    x = np.append(x[x != 0], np.array([0.625, -0.625, np.nextafter(np.float32(0.625), np.float32(0))], "f"))
    assert np.abs(tanh_of(kernels, x) / np.tanh(x.astype("d")) - 1).max() < 3e-7


def test_tanh_of_extremes(kernels: Any) -> None:
    x = np.tile(EXTREMES, 5)
    ours = tanh_of(kernels, x)
    close(ours, np.tanh(x.astype("d")), 3e-7)
    assert (np.abs(ours) <= 1).all()
    small = np.abs(x) < 1e-4
    assert_array_equal(ours[small], x[small])
    assert_array_equal(tanh_of(kernels, np.array([np.inf, -np.inf, np.nan], "f")), [1, -1, np.nan])


def test_sigmoid(kernels: Any) -> None:
    x = np.append(points(kernels, -80, 80)[::30], EXTREMES)
    ours = np.array([kernels.sigmoid(number) for number in x], "f")
    theirs = 1 / (1 + np.exp(-x.astype("d")))
    assert np.abs(ours / np.maximum(theirs, 1e-37) - 1)[x > -80].max() < 4e-7
    assert ((ours >= 0) & (ours <= 1)).all()
    assert [kernels.sigmoid(np.float32(number)) for number in (np.inf, 1e4, -0.0)] == [1, 1, 0.5]
    assert kernels.sigmoid(np.float32(-np.inf)) < 1e-37
    assert np.isnan(kernels.sigmoid(np.float32(np.nan)))


ROWS: dict[str, list[float]] = {
    "one": [2.5],
    "one below 0": [-2.5],
    "both signs": [-3, 1, 2, -5],
    "below 0": [-3, -1, -2],
    "0 and -0": [-0.0, 0.0, -0.0],
    "-0 alone": [-1, -0.0, -2],
    "all the same": [-7, -7, -7],
    "tiny": [-1e-45, -1e-30, -2e-45],
    "tiny above 0": [-1, 1e-45, -1e-45],
    "huge": [-3e38, 3e38, 1e38],
    "huge below 0": [-3.4e38, -3.3e38],
    "infinity": [1, np.inf, 2],
    "minus infinity": [-np.inf, -5, -np.inf],
    "nothing but minus infinity": [-np.inf, -np.inf],
    "both infinities": [-np.inf, np.inf],
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_maximum_is_exact(kernels: Any, row: list[float]) -> None:
    for copies in (1, 7):
        values = np.array(row * copies, "f")
        for turn in range(len(row)):
            ours, theirs = kernels.maximum(np.roll(values, turn)), values.max()
            assert ours == theirs
            assert np.signbit(ours) == np.signbit(theirs) or theirs == 0


@pytest.mark.parametrize("below", [0.0, 100.0])
def test_maximum_of_any_row(kernels: Any, below: float) -> None:
    for seed in range(20):
        row = draw(seed, 1 + 11 * seed) - np.float32(below)
        assert kernels.maximum(row) == row.max()


@pytest.mark.parametrize("rest", [[1.0, 2.0], [-1.0, -2.0], [-np.inf, 0.0]])
def test_maximum_of_a_row_with_nan_is_nan(kernels: Any, rest: list[float]) -> None:
    for place in range(3):
        row = np.insert(np.array(rest * 5, "f"), place, np.nan)
        assert np.isnan(kernels.maximum(row))


# Sums of rows


@pytest.mark.parametrize("D", [1, 3, 17, 100])
def test_add_rows_unsorted_sums_repeated_ids_and_clears_seen(kernels: Any, D: int) -> None:
    V, seen, distinct = 9, np.zeros(9, np.bool_), np.full(9, -7, np.intp)
    for seed, ids in enumerate(([4], [2, 2, 2], [0, 8, 3, 8, 0, 0], [*range(9), *range(9)], [])):
        rows, dW = draw(seed, len(ids), D), draw(seed + 10, V, D)
        expected = dW + oracle.embedding_backward(np.array([ids], int), rows[None], np.zeros((V, D)))
        count = kernels.add_rows_unsorted(dW, np.array(ids, np.intp), rows, seen, distinct)
        close(dW, expected)
        assert not seen.any()
        assert list(distinct[:count]) == list(dict.fromkeys(ids))


# The simple RNN


@every_size
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_rnn_step(kernels: Any, N: int, H: int, scale: float) -> None:
    z, h = draw(0, N, H, scale=scale), draw(1, N, H, scale=scale)
    expected = np.tanh(h.astype("d") + z)
    kernels.rnn_step(z, h)
    close(h, expected)


@every_size
def test_rnn_steps(kernels: Any, N: int, H: int) -> None:
    T = 3
    zs, Wh, hs = draw(0, T, N, H), draw(1, H, H, scale=H**-0.5), empty(T + 1, N, H)
    hs[0] = draw(2, N, H)
    z, W, h0 = exact(zs, Wh, hs[0])
    kernels.rnn_steps(zs, Wh, hs)
    theirs = oracle.rnn(z.swapaxes(0, 1), np.eye(H), W, np.zeros(H), h0)
    close(hs[1:], theirs.swapaxes(0, 1), 2e-6)
    assert_array_equal(hs[0], h0)


@every_size
def test_rnn_step_backward(kernels: Any, N: int, H: int) -> None:
    dh_t, h, dh, dz = draw(0, N, H), np.tanh(draw(1, N, H)), draw(2, N, H), empty(N, H)
    kept = dh_t.copy(), h.copy(), dh.copy()
    kernels.rnn_step_backward(dh_t, h, dh, dz)
    d, s, e = exact(*kept)
    close(dz, (d + e) * (1 - s * s))
    for array, before in zip((dh_t, h, dh), kept, strict=True):
        assert_array_equal(array, before)


@every_size
def test_rnn_steps_backward(kernels: Any, N: int, H: int) -> None:
    T = 3
    zs, Wh, h0, dhs = draw(0, T, N, H), draw(1, H, H, scale=H**-0.5), draw(2, N, H), draw(3, T, N, H)
    z, W, first, d = exact(zs, Wh, h0, dhs)
    sequence_major = z.swapaxes(0, 1), d.swapaxes(0, 1)
    weights = [np.eye(H), W, np.zeros(H)]
    dzs, _, (dh0,) = oracle.backward_through_time(oracle.RnnStep, weights, *sequence_major, first)
    hs = np.concatenate((h0[None], oracle.rnn(sequence_major[0], *weights, first).swapaxes(0, 1))).astype("f")
    dh, ours = np.zeros((N, H), "f"), empty(T, N, H)
    kernels.rnn_steps_backward(dhs, hs, np.ascontiguousarray(Wh.T), dh, ours)
    close(ours, dzs.swapaxes(0, 1), 3e-6)
    close(dh, dh0, 3e-6)


# LSTM and GRU


def lstm_case(N: int, H: int, scale: float = 1.0) -> tuple[Any, ...]:
    """z, h_{t-1}, Wh and c_{t-1}, and a step of the oracle's for every sequence, whose input is z itself."""
    z, h_prev, Wh = draw(0, N, 4 * H, scale=scale), draw(1, N, H), draw(2, H, 4 * H, scale=H**-0.5)
    c_prev = draw(3, N, H)
    steps = [oracle.LstmStep(np.eye(4 * H), Wh.astype("d"), np.zeros(4 * H)) for _ in range(N)]
    return z, h_prev, Wh, c_prev, steps


def lstm_outcome(kernels: Any, z: Any, product: Any, c_prev: Any) -> list[Any]:
    """Return gates, c, tanh(c) and h."""
    gates, (c, tanh_c, h) = product.copy(), (empty(*c_prev.shape) for _ in range(3))
    kernels.lstm_step(z, c_prev, gates, c, tanh_c, h)
    return [gates, c, tanh_c, h]


@every_size
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_lstm_step(kernels: Any, N: int, H: int, scale: float) -> None:
    z, h_prev, Wh, c_prev, steps = lstm_case(N, H, scale)
    gates, c, tanh_c, h = lstm_outcome(kernels, z, (h_prev.astype("d") @ Wh).astype("f"), c_prev)
    found = [
        step.forward(*row)
        for step, row in zip(steps, zip(*exact(z, h_prev, c_prev), strict=True), strict=True)
    ]
    close(gates, [np.concatenate((s.i, s.f, s.g, s.o)) for s in steps], 2e-6)
    close(h, [row[0] for row in found], 2e-6)
    close(c, [row[1] for row in found], 2e-6)
    close(tanh_c, np.tanh([row[1] for row in found]), 2e-6)


@every_size
def test_lstm_step_backward(kernels: Any, N: int, H: int) -> None:
    z, h_prev, _, c_prev, steps = lstm_case(N, H)
    dh_t, dh, dc = draw(4, N, H), draw(5, N, H), draw(6, N, H)
    sequences = zip(*exact(z, h_prev, c_prev, dh_t, dh, dc), strict=True)
    dzs, dcs = [], []
    for step, (x, h, c, one, other, through_c) in zip(steps, sequences, strict=True):
        step.forward(x, h, c)
        dz, (_, dc_prev), _ = step.backward(one + other, through_c)
        dzs.append(dz)
        dcs.append(dc_prev)
    gates = np.array([np.concatenate((s.i, s.f, s.g, s.o)) for s in steps]).astype("f")
    tanh_c = np.array([np.tanh(s.c_next) for s in steps]).astype("f")
    read = [dh_t, gates, c_prev, tanh_c, dh]
    kept, ours = [array.copy() for array in read], empty(N, 4 * H)
    kernels.lstm_step_backward(*read, dc, ours)
    close(ours, dzs, 2e-6)
    close(dc, dcs, 2e-6)
    for array, before in zip(read, kept, strict=True):
        assert_array_equal(array, before)


def gru_case(N: int, H: int, scale: float = 1.0) -> tuple[Any, ...]:
    """z, h_{t-1}, Wh and b_h, and a step of the oracle's for every sequence, whose input is z itself."""
    z, h_prev, Wh = draw(0, N, 3 * H, scale=scale), draw(1, N, H), draw(2, H, 3 * H, scale=H**-0.5)
    b_h = draw(3, H)
    weights = np.eye(3 * H), Wh.astype("d"), np.zeros(3 * H), b_h.astype("d")
    return z, h_prev, Wh, b_h, [oracle.GruStep(*weights) for _ in range(N)]


@every_size
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_gru_step(kernels: Any, N: int, H: int, scale: float) -> None:
    z, h_prev, Wh, b_h, steps = gru_case(N, H, scale)
    products, candidate, h = (h_prev.astype("d") @ Wh).astype("f"), empty(N, H), empty(N, H)
    kernels.gru_step(z, b_h, h_prev, products, candidate, h)
    found = [
        step.forward(*row)[0] for step, row in zip(steps, zip(*exact(z, h_prev), strict=True), strict=True)
    ]
    for k, name in enumerate(("r", "z", "inside")):
        close(products[:, k * H : (k + 1) * H], [getattr(s, name) for s in steps], 2e-6)
    close(candidate, [s.new for s in steps], 2e-6)
    close(h, found, 2e-6)


@every_size
def test_gru_step_backward(kernels: Any, N: int, H: int) -> None:
    z, h_prev, Wh, _, steps = gru_case(N, H)
    dh_t, dh = draw(4, N, H), draw(5, N, H)
    to_x, to_h, dh_prev = [], [], []
    for step, (x, h, one, other) in zip(steps, zip(*exact(z, h_prev, dh_t, dh), strict=True), strict=True):
        step.forward(x, h)
        dx, (before,), grads = step.backward(one + other)
        to_x.append(dx)
        to_h.append(np.concatenate((dx[: 2 * H], grads[3])))
        dh_prev.append(before)
    products = np.array([np.concatenate((s.r, s.z, s.inside)) for s in steps]).astype("f")
    read = [dh_t, products, np.array([s.new for s in steps]).astype("f"), h_prev, dh]
    kept = [array.copy() for array in read]
    towards_x, towards_h, through_z = empty(N, 3 * H), empty(N, 3 * H), empty(N, H)
    kernels.gru_step_backward(*read, towards_x, towards_h, through_z)
    close(towards_x, to_x, 2e-6)
    close(towards_h, to_h, 2e-6)
    assert np.abs(through_z + towards_h.astype("d") @ Wh.T - dh_prev).max() <= 3e-6 * np.abs(dh_prev).max()
    for array, before in zip(read, kept, strict=True):
        assert_array_equal(array, before)


@pytest.mark.parametrize("sign", [1, -1])
def test_saturated_gates_stay_saturated(kernels: Any, sign: int) -> None:
    for size in (1e4, 3e38, np.inf):
        H = 17
        z, nothing = np.full((2, 4 * H), sign * size, "f"), np.zeros((2, 4 * H), "f")
        c_prev = np.full((2, H), 0.5, "f")
        gates, c, tanh_c, h = lstm_outcome(kernels, z, nothing, c_prev)
        close(gates, np.tile(np.repeat([1.0, 1, 1, 1] if sign > 0 else [0.0, 0, -1, 0], H), (2, 1)))
        close(c, np.full((2, H), 1.5 if sign > 0 else 0))
        close(tanh_c, np.tanh(c.astype("d")))
        close(h, gates[:, 3 * H :] * tanh_c)
        products, candidate, h = nothing[:, : 3 * H].copy(), empty(2, H), empty(2, H)
        kernels.gru_step(z[:, : 3 * H].copy(), np.zeros(H, "f"), c_prev, products, candidate, h)
        close(candidate, np.full((2, H), float(sign)))
        close(h, np.full((2, H), 0.5 if sign > 0 else -1.0))


def test_nan_affects_its_own_unit_only(kernels: Any) -> None:
    H, bad = 17, 5
    z, zero = draw(0, 1, 4 * H), np.zeros((1, 4 * H), "f")
    z[0, H + bad] = np.nan  # the forget gate of one unit
    for array in lstm_outcome(kernels, z, zero, draw(1, 1, H))[1:]:
        assert list(np.flatnonzero(np.isnan(array))) == [bad]
    z = z[:, : 3 * H].copy()  # its update gate
    products, candidate, h = zero[:, : 3 * H].copy(), empty(1, H), empty(1, H)
    kernels.gru_step(z, np.zeros(H, "f"), draw(1, 1, H), products, candidate, h)
    assert list(np.flatnonzero(np.isnan(h))) == [bad]
    h = z[:, H : 2 * H].copy()
    kernels.rnn_step(np.zeros_like(h), h)
    assert list(np.flatnonzero(np.isnan(h))) == [bad]


# The output layer


@pytest.mark.parametrize("V", [1, 3, 17, 100])
@pytest.mark.parametrize("scale", [0.01, 5.0, 1e4])
def test_exp_scores(kernels: Any, V: int, scale: float) -> None:
    K = 5
    scores, b = draw(0, K, V, scale=scale), draw(1, V)
    targets = np.array(
        [0, V - 1, V // 2, -1, V], np.intp
    )  # the last two are of other parts of the vocabulary
    theirs = (scores + b).astype("d")
    chosen, maxima, sums = empty(K), empty(K), empty(K)
    kernels.exp_scores(scores, b, targets, chosen, maxima, sums)
    powers = np.exp(theirs - theirs.max(axis=1, keepdims=True))
    assert_array_equal(maxima, theirs.max(axis=1))
    assert_array_equal(chosen, [*theirs[range(3), targets[:3]], 0, 0])
    # the difference of two scores is rounded too, by as much as they are large
    close(scores, powers, 1e-6 if scale < 1e4 else 1e-3)
    close(sums, powers.sum(axis=1), 1e-6 if scale < 1e4 else 1e-3)


@pytest.mark.parametrize("V", [3, 17])
def test_infinite_and_nan_scores(kernels: Any, V: int) -> None:
    scores = np.zeros((5, V), "f")
    scores[0, 1], scores[1, 1], scores[2, 1] = -np.inf, np.inf, np.nan
    scores[3] = -np.inf
    scores[4, 1] = np.copysign(np.float32(np.nan), np.float32(-1))  # what inf - inf gives on many processors
    b, targets = np.zeros(V, "f"), np.zeros(5, np.intp)
    chosen, maxima, sums = empty(5), empty(5), empty(5)
    kernels.exp_scores(scores, b, targets, chosen, maxima, sums)
    assert_array_equal(sums, [V - 1, np.nan, np.nan, np.nan, np.nan])
    assert_array_equal(scores[0], np.arange(V) != 1)


@pytest.mark.parametrize("V", [1, 3, 17, 100])
def test_differentiate_rows(kernels: Any, V: int) -> None:
    K = 5
    exps, factors, weights, db = np.abs(draw(0, K, V)), draw(1, K), draw(2, K), draw(3, V)
    targets = np.array([0, V - 1, V // 2, -1, V], np.intp)
    expected = exps.astype("d") * factors[:, None]
    for k in range(3):
        expected[k, targets[k]] -= weights[k]
    sums = db + expected.sum(axis=0)
    kernels.differentiate_rows(exps, factors, targets, weights, db)
    close(exps, expected)
    close(db, sums)


# Norms and gates


@every_size
def test_norm_and_its_gradient(kernels: Any, N: int, H: int) -> None:
    x, dout, besides, gain = draw(0, N, H), draw(1, N, H), draw(2, N, H), draw(3, H)
    scales, out, dx, dgain = empty(N), empty(N, H), empty(N, H), np.ones(H, "f")
    kernels.norm(x, gain, scales, out)
    kernels.norm_backward(x, gain, scales, dout, besides, dx, dgain, Buffers())
    x64, gain64, dout64, besides64 = exact(x, gain, dout, besides)
    wanted = [np.empty(N), np.empty((N, H)), np.empty((N, H)), np.ones(H)]
    numpy.norm(x64, gain64, wanted[0], wanted[1])
    numpy.norm_backward(x64, gain64, wanted[0], dout64, besides64, wanted[2], wanted[3], Buffers())
    for ours, theirs in zip((scales, out, dx, dgain), wanted, strict=True):
        close(ours, theirs, 1e-5)  # d - x̂·mean(d∘x̂) loses digits


@every_size
def test_gate_and_its_gradient(kernels: Any, N: int, H: int) -> None:
    h, u, d = draw(0, 1, N, H), draw(1, 1, N, H, scale=3), draw(2, 1, N, H)
    found = [d, *(empty(1, N, H) for _ in range(3))]  # turns into dh, σ, out, du
    h64, u64 = exact(h, u)
    wanted = exact(*found)
    for module, values, (d_or_dh, sigma, out, du) in ((kernels, (h, u), found), (numpy, (h64, u64), wanted)):
        module.gate(*values, sigma, out)
        module.gate_backward(d_or_dh, *values, sigma, du)
    for ours, theirs in zip(found, wanted, strict=True):
        close(ours, theirs)


@every_size
@pytest.mark.parametrize("positive", [False, True])
def test_pooling_and_its_gradients(kernels: Any, N: int, H: int, positive: bool) -> None:
    T = 3
    us, states, dhs, flow = (
        draw(seed, *shape) for seed, shape in enumerate(((T, N, 2 * H), (T + 1, N, H), (T, N, H), (N, H)))
    )
    us *= 2
    found = [*(empty(T, N, H) for _ in range(2)), states, flow, empty(T, N, 2 * H)]
    us64, dhs64 = exact(us, dhs)
    wanted = exact(*found)
    for module, gates, dh, (z, n, h, flowing, dus) in (
        (kernels, us, dhs, found),
        (numpy, us64, dhs64, wanted),
    ):
        module.pool(gates, positive, z, n, h)
        module.pool_backward(dh, h, z, n, positive, flowing, dus, Buffers())
    for ours, theirs in zip(found, wanted, strict=True):
        close(ours, theirs)
