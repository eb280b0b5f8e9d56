"""Mamba's blocks: the equations, the gradients, the carried states, chunks and spans of any size."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, ShapeError
from elman.gradcheck import check_gradients
from elman.layers import TimeMamba, TimeMamba2, selective_scan, state_space
from elman.layers.mamba2 import A_RANGE, DT_RANGE
from elman.layers.sizes import head_width
from support.loops import switch_jit
from support.mamba import BLOCKS, Block

D, N = 3, 2
MODULES = (state_space, selective_scan)
every_block = pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
chunks = pytest.mark.parametrize("chunk", [64, 3], ids=["one chunk", "chunks of 3"])


def in_chunks(patch: pytest.MonkeyPatch, steps: int) -> None:
    for module in MODULES:
        patch.setattr(module, "CHUNK", steps)


def close(actual: Any, expected: Any, rtol: float = 1e-10) -> None:
    assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def forward_and_backward(layer: Any, xs: Any, dys: Any, span: int = 0, back: int = 0) -> list[Any]:
    """Return copies of the output, the gradients and the states, done in spans of so many steps; 0: as a whole."""

    def cut(size: int) -> list[tuple[int, int]]:
        T = xs.shape[1]
        return [(t, min(t + size, T)) for t in range(0, T, size)] if size else [(0, T)]

    ys = layer.begin(xs)
    for first, last in cut(span):
        layer.forward_steps(first, last)
    layer.end()
    dxs = layer.begin_backward(dys)
    for first, last in reversed(cut(back)):
        layer.backward_steps(first, last)
    layer.end_backward()
    for write in layer.weight_gradients():
        write()
    states = layer.carried()
    gradients = [getattr(layer, f"d{name}") for name in states]
    return [np.array(array) for array in (ys, dxs, *layer.grads, *states.values(), *gradients)]


@every_block
@pytest.mark.parametrize("last", [True, False], ids=["last", "inner"])
@chunks
def test_equals_the_oracle_from_any_state(
    block: Block, last: bool, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_chunks(monkeypatch, chunk)
    weights, xs = block.weights(last=last), draw(N, 8, D)
    layer = block.layer(weights)
    states = block.draw_states(layer, N)
    layer.carry(states)
    expected, after = block.oracle(xs, **weights, s0=states["s"], conv0=states["conv"])
    close(layer.forward(xs[:, :5]), expected[:, :5])
    for t in range(5, 8):  # a block of several steps, then one by one
        close(layer.forward(xs[:, t : t + 1]), expected[:, t : t + 1])
    close(layer.h, expected[:, -1])
    for name, state in after.items():
        close(getattr(layer, name), state)


@every_block
@pytest.mark.parametrize(("T", "chunk"), [(1, 64), (2, 64), (5, 64), (5, 3)])
@pytest.mark.parametrize("stateful", [True, False])
def test_gradients_of_the_second_block_agree_with_differences(
    block: Block, T: int, stateful: bool, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_chunks(monkeypatch, chunk)
    layer = block.layer(block.weights(), stateful)
    xs, before = draw(2, N, T, D, seed=T)
    report = check_gradients(layer, xs, before=before, max_entries=6)
    assert len(report.rows) == len(layer.params) + 1 + stateful * len(layer.state_widths)
    assert report.passed, report


@every_block
@pytest.mark.parametrize(("chunk", "span", "back"), [(3, 0, 0), (3, 2, 5), (64, 1, 1), (4, 7, 1), (1, 0, 0)])
def test_chunks_and_spans_change_nothing(
    block: Block, chunk: int, span: int, back: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, xs, dys = block.weights(), draw(N, 9, D), draw(N, 9, D, seed=1)
    states = block.draw_states(block.layer(weights), N)

    def done(span: int = 0, back: int = 0) -> list[Any]:
        layer = block.layer(weights)
        layer.carry(states)
        return forward_and_backward(layer, xs, dys, span, back)

    whole = done()
    in_chunks(monkeypatch, chunk)
    monkeypatch.setattr(state_space, "AT_ONCE", 1)  # one sequence at a time
    for ours, theirs in zip(done(span, back), whole, strict=True):
        close(ours, theirs)


@every_block
@pytest.mark.parametrize("compiled", [False, True], ids=["NumPy's kernels", "numba's kernels"])
def test_single_precision_agrees_with_double(
    block: Block, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_chunks(monkeypatch, 4)
    xs, dys, weights = draw(3, 9, D), draw(3, 9, D, seed=1), block.weights()
    exact = forward_and_backward(block.layer(weights), xs, dys)
    switch_jit(monkeypatch, compiled)
    for span in (0, 1):
        single = block.layer({name: weight.astype("f") for name, weight in weights.items()})
        for ours, theirs in zip(
            forward_and_backward(single, xs.astype("f"), dys.astype("f"), span), exact, strict=True
        ):
            assert ours.dtype == np.float32
            assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5 * np.abs(theirs).max())


@every_block
def test_decays_that_vanish_leave_no_nan(block: Block) -> None:
    for dtype in ("f", "d"):
        weights = block.weights(dtype=dtype)
        weights["A_log"] += 6  # a state is forgotten within a step
        found = forward_and_backward(
            block.layer(weights), draw(N, 70, D).astype(dtype), draw(N, 70, D).astype(dtype)
        )
        assert all(np.isfinite(array).all() for array in found)


@every_block
def test_states_and_what_is_inside_by_name(block: Block) -> None:
    layer = block.layer(block.weights())
    assert set(layer.state_widths) == {"h", "s", "conv"}
    ys = layer.forward(draw(N, 4, D))
    assert tuple(layer.inside) == layer.names_inside()
    assert all(values.shape[:2] == (N, 4) for values in layer.inside.values())
    assert_array_equal(layer.hs, ys)
    assert {name: state.shape for name, state in layer.carried().items()} == {
        name: (N, width) for name, width in layer.state_widths.items()
    }


@pytest.mark.parametrize("cell", dict.fromkeys(block.cell for block in BLOCKS.values()))
def test_the_states_of_all_steps_are_never_held(cell: str) -> None:
    T, H, S = 512, 128, 64
    block = Block(cell, {"state": S}, BLOCKS[cell].oracle)
    layer, xs = block.layer(block.weights(D, H)), draw(1, T, D)
    tracemalloc.start()
    layer.forward(xs)
    layer.backward(xs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * T * H * S / 2


def test_the_decays_of_mamba2_begin_spread() -> None:
    plan = TimeMamba2.plan(64, 1024)
    A, dt = np.exp(plan["A_log"].start).reshape(-1), np.log1p(np.exp(plan["dt_b"].start))
    assert len(set(A)) == len(set(dt)) == 16
    assert A_RANGE[0] < A.min() < A.max() < A_RANGE[1]
    assert DT_RANGE[0] < dt.min() < 0.002
    assert 0.05 < dt.max() < DT_RANGE[1]


@pytest.mark.parametrize(("H", "P"), [(128, 64), (100, 50), (7, 7), (96, 48), (1536, 64)])
def test_heads_are_as_wide_as_they_divide(H: int, P: int) -> None:
    assert head_width(H) == P


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"head": 3}, "hidden 8 is not 1 groups of heads of width 3; it must be a multiple of 3"),
        ({"head": 4, "groups": 3}, "must be a multiple of 12"),
        ({"heads": 3}, "unknown size 'heads'; choose from head, state, groups, kernel"),
        ({"state": 0}, "the size state must be ≥ 1, got 0"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TimeMamba2.plan(3, 8, sizes=sizes)


def test_the_rates_of_mamba_begin_as_in_the_paper() -> None:
    plan = TimeMamba.plan(40, 80)
    assert_allclose(np.exp(plan["A_log"].start), np.repeat(np.arange(1.0, 17)[:, None], 80, axis=1))
    assert plan["Wr"].shape == (80, 3)
    with pytest.raises(ConfigError, match="unknown size 'head'; choose from state, rank, kernel"):
        TimeMamba.plan(3, 8, sizes={"head": 2})


def test_weights_that_do_not_go_together_are_refused() -> None:
    weights = BLOCKS["mamba2"].weights()
    with pytest.raises(ShapeError, match=r"2 heads in 1 groups do not fit Wx \(3, 13\) and H = 8"):
        TimeMamba2(**{**weights, "Wx": draw(3, 13)})
    weights = BLOCKS["mamba"].weights()
    with pytest.raises(ShapeError, match=r"TimeSelectiveScan: Wx must be \(D, 8\), got \(3, 13\)"):
        TimeMamba(**{**weights, "Wx": draw(3, 13)})
    with pytest.raises(ShapeError, match=r"TimeSelectiveScan: Wbc must be \(8, 6\), got \(8, 7\)"):
        TimeMamba(**{**weights, "Wbc": draw(8, 7)})
