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
def test_a_small_batch_is_multiplied_in_the_compiled_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    for N in (numba.SMALL_BATCH, numba.SMALL_BATCH + 1):
        zs, Wh, hs = draw(0, T, N, H), draw(1, H, H), np.zeros((T + 1, N, H), "f")
        calls: list[str] = []
        with monkeypatch.context() as patch:
            patch.setattr(numba, "rnn_steps", lambda *arrays, calls=calls: calls.append("all steps"))
            patch.setattr(numba, "rnn_step", lambda *arrays, calls=calls: calls.append("one step"))
            numba.rnn_forward(1, 3, zs, Wh, hs)
        assert calls == (["all steps"] if N <= numba.SMALL_BATCH else ["one step"] * 2)


@needs_numba
@pytest.mark.parametrize("N", [1, 2])
def test_all_steps_of_one_sequence_are_one_call(monkeypatch: pytest.MonkeyPatch, N: int) -> None:
    calls: list[str] = []
    for name in ("lstm_steps", "lstm_step", "gru_steps", "gru_step"):
        monkeypatch.setattr(numba, name, lambda *arrays, name=name: calls.append(name))
    hs, cs, ns = (np.zeros((T + 1, N, H), "f") for _ in range(3))
    for gates in (4, 3):
        zs, Wh, products = draw(0, T, N, gates * H), draw(1, H, gates * H), np.zeros((T, N, gates * H), "f")
        if gates == 4:
            numba.lstm_forward(1, 3, zs, Wh, hs, cs, ns[:T], products, Buffers())
        else:
            numba.gru_forward(1, 3, zs, Wh, None, hs, products, ns[:T], Buffers())
    assert calls == (
        ["lstm_steps", "gru_steps"] if N == 1 else ["lstm_step", "lstm_step", "gru_step", "gru_step"]
    )


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
