"""The two modules of kernels have the same functions, and these do the same."""

import inspect
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.arrays import Buffers
from elman.layers.kernels import kernels_for, numba, numpy
from support.loops import KERNELS, needs_numba, switch_jit

FUNCTIONS = (
    "packed",
    "rnn_forward",
    "rnn_backward",
    "lstm_forward",
    "lstm_word",
    "lstm_backward",
    "gru_forward",
    "gru_backward",
    "scan",
    "scan_backward",
    "sru_scan",
    "pool",
    "pool_backward",
    "norm",
    "norm_backward",
    "gate",
    "gate_backward",
    "convolve",
    "convolve_backward",
    "decays",
    "step_states",
    "selective_scan",
    "selective_scan_backward",
    "score_rows",
    "differentiate_rows",
    "reduced_product",
    "add_rows",
)
every_compilation = pytest.mark.parametrize("kernels", KERNELS.values(), ids=KERNELS)
T, H = 4, 5


def draw(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype("f")


@pytest.mark.parametrize("name", FUNCTIONS)
@every_compilation
def test_both_modules_have_the_same_signature(kernels: Any, name: str) -> None:
    assert inspect.signature(getattr(kernels, name)) == inspect.signature(getattr(numpy, name))


def test_kernels_are_chosen_by_array(monkeypatch: pytest.MonkeyPatch) -> None:
    switch_jit(monkeypatch, True)
    assert kernels_for(np.zeros(1, np.float32)) is numba
    assert kernels_for(np.zeros(1)) is numpy
    switch_jit(monkeypatch, False)
    assert kernels_for(np.zeros(1, np.float32)) is numpy


@needs_numba
@pytest.mark.parametrize("compiled", [True, False])
def test_all_steps_are_one_call_where_the_products_are_compiled(
    monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    N, calls = 3, []
    cells = ("rnn", "lstm", "gru")
    for name in (f"{cell}_{what}" for cell in cells for what in ("steps", "step")):
        for direction in ("", "_backward"):
            function = name + direction
            monkeypatch.setattr(numba, function, lambda *arrays, function=function: calls.append(function))
    monkeypatch.setattr(numba, "can_multiply", lambda rows, W: compiled)
    hs, cs, ns = (np.zeros((T + 1, N, H), "f") for _ in range(3))
    dhs, dh, dc = draw(0, T, N, H), draw(1, N, H), draw(2, N, H)
    for cell, gates in zip(cells, (1, 4, 3), strict=True):
        zs, Wh = draw(3, T, N, gates * H), draw(4, H, gates * H)
        products, others, WhT = np.zeros_like(zs), np.zeros_like(zs), draw(5, gates * H, H)
        if cell == "rnn":
            numba.rnn_forward(1, 3, zs, Wh, hs)
            numba.rnn_backward(1, 3, dhs, hs, WhT, dh, products)
        elif cell == "lstm":
            numba.lstm_forward(1, 3, zs, Wh, hs, cs, ns[:T], products, Buffers())
            numba.lstm_backward(1, 3, dhs, cs, ns[:T], products, WhT, dh, dc, others, Buffers())
        else:
            numba.gru_forward(1, 3, zs, Wh, None, hs, products, ns[:T], Buffers())
            numba.gru_backward(1, 3, dhs, hs, products, ns[:T], WhT, dh, others, others.copy(), Buffers())
        wanted = ["steps", "steps_backward"] if compiled else ["step"] * 2 + ["step_backward"] * 2
        assert calls == [f"{cell}_{each}" for each in wanted]
        calls.clear()


@every_compilation
@pytest.mark.parametrize("N", [1, 3])
@pytest.mark.parametrize("first", [0, 1])
def test_steps_outside_the_span_are_left_alone(kernels: Any, N: int, first: int) -> None:
    last = 3
    results = []
    for module in (kernels, numpy):
        zs, Wh, hs = draw(0, T, N, H), draw(1, H, H), np.full((T + 1, N, H), 7, "f")
        hs[first] = draw(2, N, H)
        module.rnn_forward(first, last, zs, Wh, hs)
        assert (hs[:first] == 7).all()
        assert (hs[last + 1 :] == 7).all()
        dh, dzs = draw(3, N, H), np.full((T, N, H), 7, "f")
        module.rnn_backward(first, last, draw(4, T, N, H), hs, np.ascontiguousarray(Wh.T), dh, dzs)
        assert (dzs[:first] == 7).all()
        assert (dzs[last:] == 7).all()
        results.append((hs, dh, dzs))
    for ours, theirs in zip(*results, strict=True):
        assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@every_compilation
@pytest.mark.parametrize("first", [0, 1])
def test_scans_of_a_span(kernels: Any, first: int) -> None:
    N, last = 3, 3
    results = []
    for module in (kernels, numpy):
        a, b, states, sru_states = (
            draw(0, T, N, H),
            draw(1, T, N, H),
            draw(2, T + 1, N, H),
            draw(3, T + 1, N, H),
        )
        deltas, flow, fs = draw(4, T, N, H), draw(5, N, H), draw(6, T, N, H)
        module.scan(first, last, a, b, states)
        module.scan_backward(first, last, a, b, deltas, flow)
        module.scan_backward(first, last, a, b, b, flow)  # in place
        module.sru_scan(first, last, draw(7, T, N, 4 * H), draw(8, 2 * H), fs, sru_states)
        results.append((b, states, deltas, flow, fs, sru_states))
        for array, was in ((states, draw(2, T + 1, N, H)), (sru_states, draw(3, T + 1, N, H))):
            assert_array_equal(array[: first + 1], was[: first + 1])
            assert_array_equal(array[last + 1 :], was[last + 1 :])
        for array, was in ((deltas, draw(4, T, N, H)), (fs, draw(6, T, N, H)), (b, draw(1, T, N, H))):
            assert_array_equal(array[:first], was[:first])
            assert_array_equal(array[last:], was[last:])
    for ours, theirs in zip(*results, strict=True):
        assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@every_compilation
def test_output_rows(kernels: Any) -> None:
    K, V = 4, 7
    results = []
    for module in (kernels, numpy):
        scores, b, targets = draw(0, K, V), draw(1, V), np.array([0, 6, -1, 7])
        chosen, maxima, sums = module.score_rows(scores, b, targets)
        db = np.zeros(V, "f")
        module.differentiate_rows(scores, np.float32(0.5) / sums, targets, np.full(K, 0.5, "f"), db)
        results.append((chosen, maxima, sums, scores, db))
    for ours, theirs in zip(*results, strict=True):
        assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@every_compilation
def test_add_rows_returns_the_distinct_ids_in_order(kernels: Any) -> None:
    buffers, ids = Buffers(), np.array([5, 2, 5, 0, 2])
    for _ in range(2):
        ours, theirs = np.zeros((6, 3), "f"), np.zeros((6, 3), "f")
        assert_array_equal(kernels.add_rows(ours, ids, draw(0, 5, 3), buffers), [0, 2, 5])
        assert_array_equal(numpy.add_rows(theirs, ids, draw(0, 5, 3), Buffers()), [0, 2, 5])
        assert_allclose(ours, theirs, rtol=1e-6)
