"""Residual blocks: the equations, the gradients, and the states of the cell inside."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ShapeError
from elman.gradcheck import check_gradients
from elman.layers import TimeGRU, TimeResidualBlock, residual
from support.loops import switch_jit
from support.residual import ORACLES, block_of, drawn, slow_block

D, H, M = 3, 4, 5
every_cell = pytest.mark.parametrize("cell", ORACLES)
some_cells = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "mingru", "qrnn"])
with_and_without_mlp = pytest.mark.parametrize("mlp", [0, M], ids=["no MLP", "MLP"])


def close(actual: Any, expected: Any, rtol: float = 1e-10) -> None:
    assert_allclose(actual, expected, rtol=rtol, atol=rtol)


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def forward_and_backward(block: TimeResidualBlock, xs: Any, dys: Any, span: int = 0) -> list[Any]:
    """Return copies of the output, the gradients, and the states, done in spans of so many steps; 0: as a whole."""
    if not span:
        ys, dxs = block.forward(xs), block.backward(dys)
    else:
        cut = [(t, min(t + span, xs.shape[1])) for t in range(0, xs.shape[1], span)]
        ys = block.begin(xs)
        for first, last in cut:
            block.forward_steps(first, last)
        block.end()
        dxs = block.begin_backward(dys)
        for first, last in reversed(cut):
            block.backward_steps(first, last)
        block.end_backward()
        for write in block.weight_gradients():
            write()
    return [array.copy() for array in (ys, dxs, *block.grads, *block.carried().values())]


@every_cell
@with_and_without_mlp
@pytest.mark.parametrize("last", [True, False])
def test_equals_the_oracle_block_after_block(cell: str, mlp: int, last: bool) -> None:
    weights, xs = drawn(cell, D, H, mlp, last), draw(2, 7, D)
    block = block_of(cell, weights)
    expected = slow_block(cell, xs, weights)
    close(block.forward(xs[:, :4]), expected[:, :4])
    close(block.forward(xs[:, 4:]), expected[:, 4:])
    close(block.h, expected[:, -1])


@some_cells
@with_and_without_mlp
@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize("stateful", [True, False])
def test_gradients_of_the_second_block_agree_with_differences(
    cell: str, mlp: int, T: int, stateful: bool
) -> None:
    block = block_of(cell, drawn(cell, D, H, mlp), stateful)
    xs, before = draw(2, 2, T, D, seed=T)
    report = check_gradients(block, xs, before=before, max_entries=12)
    assert len(report.rows) == len(block.params) + 1 + stateful * len(block.state_widths)
    assert report.passed, report


@some_cells
@with_and_without_mlp
def test_steps_can_be_done_in_spans(cell: str, mlp: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, xs, dys = drawn(cell, D, H, mlp), draw(2, 7, D), draw(2, 7, D, seed=1)
    whole = forward_and_backward(block_of(cell, weights), xs, dys)
    for ours, theirs in zip(forward_and_backward(block_of(cell, weights), xs, dys, 3), whole, strict=True):
        close(ours, theirs)
    monkeypatch.setattr(residual, "ROWS", 4)  # two steps of two sequences
    for ours, theirs in zip(forward_and_backward(block_of(cell, weights), xs, dys), whole, strict=True):
        close(ours, theirs)


@some_cells
@pytest.mark.parametrize("compiled", [False, True], ids=["NumPy's kernels", "numba's kernels"])
def test_single_precision_agrees_with_double(
    cell: str, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    xs, dys, weights = draw(3, 6, 8), draw(3, 6, 8, seed=1), drawn(cell, 8, 16, M)
    exact = forward_and_backward(block_of(cell, weights), xs, dys)
    switch_jit(monkeypatch, compiled)
    single = block_of(cell, {name: weight.astype(np.float32) for name, weight in weights.items()})
    for ours, theirs in zip(
        forward_and_backward(single, xs.astype("f"), dys.astype("f")), exact, strict=True
    ):
        assert ours.dtype == np.float32
        assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())


@some_cells
def test_everything_has_the_dtype_of_the_weights(cell: str) -> None:
    block = block_of(cell, drawn(cell, D, H, M, dtype=np.float32))
    for _ in range(2):  # float64 comes in
        found = forward_and_backward(block, draw(2, 3, D), draw(2, 3, D))
        kept = [getattr(block, "d" + name) for name in block.state_widths]
        assert {array.dtype for array in (*found, *kept)} == {np.dtype(np.float32)}


def test_states_are_the_output_and_those_of_the_cell() -> None:
    block = block_of("lstm", drawn("lstm", D, H))
    assert block.state_widths == {"h": D, "cell_h": H, "cell_c": H}
    assert block.carried() == {"h": None, "cell_h": None, "cell_c": None}
    xs = draw(2, 6, D)
    expected = block.forward(xs).copy()
    block.reset_state()
    block.forward(xs[:, :4])
    carried = {name: state.copy() for name, state in block.carried().items()}
    block.forward(draw(2, 3, D, seed=1))
    block.carry(carried)
    close(block.forward(xs[:, 4:]), expected[:, 4:])


def test_what_is_inside_are_the_states_and_gates() -> None:
    block = block_of("lstm", drawn("lstm", D, H))
    ys = block.forward(draw(2, 3, D))
    assert {name: values.shape[2] for name, values in block.inside.items()} == {
        "h": D,
        **dict.fromkeys(("cell_h", "cell_c", "i", "f", "g", "o"), H),
    }
    assert_array_equal(block.hs, ys)
    assert block.recurrence is block.cell


def test_a_closed_branch_passes_its_input_on() -> None:
    weights = drawn("gru", D, H, M, last=False)
    for name in ("Wo", "W3"):
        weights[name][...] = 0
    block, xs, dys = block_of("gru", weights), draw(2, 3, D), draw(2, 3, D, seed=1)
    assert_array_equal(block.forward(xs), xs)
    assert_array_equal(block.backward(dys), dys)


def test_a_cell_of_other_widths_is_refused() -> None:
    cell = TimeGRU(draw(D, 12), draw(4, 12), draw(12))
    with pytest.raises(ShapeError, match=r"the cell must take 3 numbers and return 5.*takes 3 and returns 4"):
        TimeResidualBlock(cell, np.ones(D), draw(D, 5), draw(5, D))


def test_the_line_of_a_block_names_its_cell() -> None:
    assert repr(block_of("gru", drawn("gru", D, H))) == (
        "TimeResidualBlock(3 → 3, TimeGRU(3 → 4, 100 parameters), 130 parameters)"
    )
