"""Running layers span by span on several threads gives the same numbers as running them one after another."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.gradcheck import check_gradients
from elman.layers import output
from elman.models import wavefront
from elman.models.recurrent import RecurrentLM, SimpleRnnlm
from elman.workers import Task, use_workers
from support.cells import CELLS as PLANNED
from support.tiny import blocks_of, small_lm

V, D, H, N, T = 50, 4, 5, 3, 7  # V: enough words for a part of the vocabulary for each of three threads
Run = Callable[[Sequence[Task]], None]
every_cell = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
every_number = pytest.mark.parametrize("number", [1, 2, 3])

OPTIONS: dict[str, dict[str, Any]] = {
    "one layer": {},
    "two layers": {"layers": 2},
    "three layers": {"layers": 3},
    "dropout": {"layers": 2, "dropout": 0.4},
    "one-hot input": {"D": 0, "layers": 2},
    "one-hot input, dropout": {"D": 0, "layers": 2, "dropout": 0.4},
    "tied weights": {"D": H, "layers": 2, "tie_weights": True},
    "residual blocks": {"layers": 2, "block": "residual", "mlp": 6, "dropout": 0.4},
    "adaptive softmax": {"layers": 2, "dropout": 0.4, "adaptive": (10, 30)},
    "tied weights, dropout": {"D": H, "tie_weights": True, "dropout": 0.4},
}
every_model = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def model_of(cell: str, options: dict[str, Any]) -> RecurrentLM:
    return small_lm(V, **{"D": D, "H": H, "cell": cell, **options})


def blocks(T: int = T, count: int = 3, N: int = N) -> list[tuple[Any, Any]]:
    """Pairs of xs and ts (N, T), some of whose targets are to be ignored."""
    pairs = list(zip(blocks_of(V, N, T, count), blocks_of(V, N, T, count, seed=1), strict=True))
    for k, (_, ts) in enumerate(pairs):
        ts.reshape(-1)[k + 1 :: 4] = -1
    return pairs


def trained(model: RecurrentLM, pairs: list[tuple[Any, Any]], number: int) -> list[Any]:
    """Return loss, gradients and carried states of one block after another, with so many workers."""
    found: list[Any] = []
    for k, (xs, ts) in enumerate(pairs):
        with use_workers(number):
            found.append(model.forward(xs, ts))
            model.backward(1.0 if k % 2 else 2.5)
        found += [grad.copy() for grad in model.grads]
        found += [
            np.copy(getattr(cell, prefix + name))
            for cell in model.rnn_layers
            for prefix in ("", "d")
            for name in cell.state_widths
        ]
    return found


def assert_same(ours: list[Any], theirs: list[Any]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tasks were handed out, each time that work went through the wave front."""
    counts: list[int] = []
    real = wavefront.run_tasks

    def counting(tasks: Sequence[Task]) -> None:
        counts.append(len(tasks))
        real(tasks)

    monkeypatch.setattr(wavefront, "run_tasks", counting)
    return counts


@every_cell
@every_model
@every_number
def test_loss_gradients_and_states_are_those_of_one_layer_after_another(
    runs: list[int], cell: str, options: dict[str, Any], number: int
) -> None:
    alone = trained(model_of(cell, options), blocks(), 1)
    assert runs == []
    assert_same(trained(model_of(cell, options), blocks(), number), alone)
    assert len(runs) == (6 if number > 1 else 0)  # forward and backward of three blocks
    assert all(count > options.get("layers", 1) for count in runs)


@every_cell
@every_number
@pytest.mark.parametrize("T", [1, 2, 5, 19])
def test_any_number_of_steps(runs: list[int], cell: str, T: int, number: int) -> None:
    """Fewer steps than spans, as many as spans, and spans of several steps of which the last is shorter."""
    model, twin = model_of(cell, {"layers": 2}), model_of(cell, {"layers": 2})
    assert_same(trained(twin, blocks(T), number), trained(model, blocks(T), 1))
    assert len(runs) == (6 if number > 1 else 0)


@every_number
@pytest.mark.parametrize("T", [1, 2, 6, 7, 18, 19, 35])
def test_spans_cover_every_step_once_and_in_order(T: int, number: int) -> None:
    with use_workers(number):
        cut = wavefront.spans(T)
    assert [t for first, last in cut for t in range(first, last)] == list(range(T))
    assert len(cut) <= wavefront.SPANS_PER_WORKER * number
    lengths = [last - first for first, last in cut]
    assert min(lengths) > 0
    assert set(lengths[:-1]) <= {max(lengths)}


@every_cell
@pytest.mark.parametrize(("number", "rows"), [(2, 1), (3, 4), (2, 10)])
def test_several_chunks_of_rows(monkeypatch: pytest.MonkeyPatch, cell: str, number: int, rows: int) -> None:
    alone = trained(model_of(cell, {"layers": 2}), blocks(), 1)
    monkeypatch.setattr(output, "CHUNK_SCORES", rows * V)
    assert output.rows_per_chunk(1000, V) == rows
    assert_same(trained(model_of(cell, {"layers": 2}), blocks(), number), alone)


@every_cell
def test_the_number_of_hands_may_change_at_any_time(cell: str) -> None:
    """Even between forward and backward."""
    model, twin = (model_of(cell, {"layers": 2, "dropout": 0.3}) for _ in range(2))
    changes = [(1, 2), (2, 1), (3, 2), (2, 2), (1, 3)]
    for (forward, backward), (xs, ts) in zip(changes, blocks(count=5), strict=True):
        with use_workers(forward):
            loss = model.forward(xs, ts)
        with use_workers(backward):
            model.backward()
        assert_allclose(loss, twin.forward(xs, ts), rtol=1e-12)
        twin.backward()
        assert_same(model.grads, twin.grads)


@every_cell
def test_the_shape_of_a_block_may_change(cell: str) -> None:
    model, twin = (model_of(cell, {"layers": 2, "dropout": 0.3}) for _ in range(2))
    for sequences, steps in ((3, 7), (3, 2), (1, 12), (3, 7)):
        pairs = blocks(steps, 2, sequences)
        assert_same(trained(model, pairs, 2), trained(twin, pairs, 1))
        model.reset_state()
        twin.reset_state()


def test_a_block_whose_last_steps_are_all_ignored() -> None:
    ((xs, ts),) = blocks(count=1)
    ts[:, 1:] = -1
    for options in OPTIONS.values():
        assert_same(
            trained(model_of("lstm", options), [(xs, ts)], 3),
            trained(model_of("lstm", options), [(xs, ts)], 1),
        )


# Any order that the dependencies allow


def in_any_order(seed: int) -> Run:
    """Return what does tasks one at a time, each as soon as it may be done or long after; first (0) or last (1)."""
    rng = np.random.default_rng(seed)

    def do(tasks: Sequence[Task]) -> None:
        left = list(tasks)
        while left:
            ready = [task for task in left if task.ready]
            task = ready[{0: 0, 1: -1}.get(seed, int(rng.integers(len(ready))))]
            with use_workers(1):
                task.run()
            task.done = True
            left.remove(task)

    return do


@every_cell
@pytest.mark.parametrize("options", [{"layers": 3, "dropout": 0.4}, OPTIONS["tied weights"]], ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_every_order_that_the_dependencies_allow_gives_the_same(
    monkeypatch: pytest.MonkeyPatch, cell: str, options: dict[str, Any], seed: int
) -> None:
    """What one thread may do before another is done with something must not touch it."""
    alone = trained(model_of(cell, options), blocks(), 1)
    monkeypatch.setattr(output, "CHUNK_SCORES", 5 * V)
    monkeypatch.setattr(wavefront, "run_tasks", in_any_order(seed))
    assert_same(trained(model_of(cell, options), blocks(), 3), alone)


@pytest.mark.parametrize("cell", PLANNED)
def test_linear_recurrences_may_be_done_in_any_order_too(monkeypatch: pytest.MonkeyPatch, cell: str) -> None:
    options = {"layers": 3, "dropout": 0.4}
    alone = trained(model_of(cell, options), blocks(), 1)
    assert_same(trained(model_of(cell, options), blocks(), 2), alone)
    monkeypatch.setattr(wavefront, "run_tasks", in_any_order(2))
    assert_same(trained(model_of(cell, options), blocks(), 3), alone)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_alone_waits_for_the_last_step_too(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    model, twin = model_of("lstm", {"layers": 2}), model_of("lstm", {"layers": 2})
    model.train_mode(False)
    monkeypatch.setattr(wavefront, "run_tasks", in_any_order(seed))
    for xs, ts in blocks():
        with use_workers(2):
            loss = model.forward(xs, ts)
        assert_allclose(loss, twin.forward(xs, ts), rtol=1e-12)


def test_scores_wait_for_no_more_steps_than_those_of_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six spans of a step, and two steps of rows a chunk: one chunk needs two spans, the next one four."""
    handed_out: list[Sequence[Task]] = []
    real = wavefront.run_tasks
    monkeypatch.setattr(wavefront, "run_tasks", lambda tasks: handed_out.append(tasks) or real(tasks))
    monkeypatch.setattr(output, "CHUNK_SCORES", 2 * N * V)
    with use_workers(2):
        model_of("rnn", {}).forward(*blocks(6, 1)[0])
    (tasks,) = handed_out
    steps = tasks[:6]
    waits = [len(set(task.after) & set(steps)) for task in tasks[6:]]
    assert waits == [
        2,
        2,
        0,
        0,
        4,
        4,
        0,
        0,
        6,
        6,
        0,
        0,
    ]  # two parts of the vocabulary: scores, then gradients


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_each_task_comes_after_those_that_it_waits_for(monkeypatch: pytest.MonkeyPatch, layers: int) -> None:
    """That is what `run` asks of a list; and in it the layers take turns."""
    orders: list[bool] = []
    real = wavefront.run_tasks

    def watching(tasks: Sequence[Task]) -> None:
        place = {task: k for k, task in enumerate(tasks)}
        orders.append(all(place[before] < place[task] for task in tasks for before in task.after))
        real(tasks)

    monkeypatch.setattr(wavefront, "run_tasks", watching)
    monkeypatch.setattr(output, "CHUNK_SCORES", 5 * V)
    trained(model_of("gru", {"layers": layers}), blocks(count=1), 2)
    assert orders == [True, True]


def test_a_layer_is_at_a_span_while_the_one_below_is_at_the_next() -> None:
    """With two workers and two layers, tasks of both are ready at the same time."""
    waves = wavefront._waves([[print] * 3] * 2)
    listed = wavefront._in_order(waves)
    names = {id(task): (layer, span) for layer, wave in enumerate(waves) for span, task in enumerate(wave)}
    assert [names[id(task)] for task in listed] == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (1, 2)]
    waits = {names[id(task)]: sorted(names[id(before)] for before in task.after) for task in listed}
    assert waits == {
        (0, 0): [],
        (0, 1): [(0, 0)],
        (0, 2): [(0, 1)],
        (1, 0): [(0, 0)],
        (1, 1): [(0, 1), (1, 0)],
        (1, 2): [(0, 2), (1, 1)],
    }


# Proofs


@every_cell
@pytest.mark.parametrize(
    ("options", "number"),
    [({"layers": 2}, 2), (OPTIONS["one-hot input"], 3), (OPTIONS["tied weights"], 2)],
    ids=["two layers", "one-hot input", "tied weights"],
)
def test_gradients_of_the_second_block_agree_with_differences(
    runs: list[int], cell: str, options: dict[str, Any], number: int
) -> None:
    model = model_of(cell, options)
    before, xs, ts = blocks_of(V, 2, 5, 3)
    with use_workers(number):
        report = check_gradients(model, xs, ts, before=before, max_entries=6)
    assert len(report.rows) >= len(model.params) + 1  # the incoming state has a row, too
    assert report.passed, report
    assert len(runs) > 100


@every_cell
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_two_runs_give_the_same_bits(cell: str, dtype: Any) -> None:
    options = {"layers": 2, "dropout": 0.3, "dtype": dtype}
    first, second = (trained(model_of(cell, options), blocks(19), 3) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert_array_equal(a, b)


@every_cell
def test_float32_is_close_to_float64(cell: str) -> None:
    options = {"layers": 2, "dropout": 0.3}
    single = trained(model_of(cell, {**options, "dtype": np.float32}), blocks(), 2)
    for ours, theirs in zip(single, trained(model_of(cell, options), blocks(), 1), strict=True):
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


# Where it applies


def test_without_training_only_the_loss_is_worked_out() -> None:
    for options in OPTIONS.values():
        model, twin = model_of("lstm", options), model_of("lstm", options)
        model.train_mode(False)
        twin.train_mode(False)
        for grad in model.grads:
            grad[...] = 7
        for xs, ts in blocks():
            with use_workers(2):
                loss = model.forward(xs, ts)
            assert_allclose(loss, twin.forward(xs, ts), rtol=1e-12)
        assert all((grad == 7).all() for grad in model.grads)


def test_the_textbook_model_is_done_layer_by_layer(runs: list[int]) -> None:
    one, other = (SimpleRnnlm(V, D, H, rng=np.random.default_rng(0), dtype=np.float64) for _ in range(2))
    for xs, ts in blocks():
        ts[ts < 0] = 0
        with use_workers(2):
            loss = one.forward(xs, ts)
            one.backward()
        assert_allclose(loss, other.forward(xs, ts), rtol=1e-12)
        other.backward()
        assert_same(one.grads, other.grads)
    assert runs == []


@every_cell
@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("options", [{}, {"layers": 3}, {"layers": 2, "D": 0}], ids=str)
def test_reading_gives_what_one_thread_reads(
    runs: list[int], cell: str, options: dict[str, Any], number: int
) -> None:
    model = model_of(cell, options)
    for T in (0, 1, 19):
        (ids,) = blocks_of(V, N, T, 1)
        alone, end = model.target_log_probs(ids, model.start(N))
        with use_workers(number):
            together, after = model.target_log_probs(ids, model.start(N))
            fed = model.feed(ids, model.start(N))
        assert_same([together, *after.h, *after.c], [alone, *end.h, *end.c])
        assert after == fed
    assert len(runs) == (4 if "layers" in options else 0)  # nothing is to be done where T is 0


@pytest.mark.parametrize("number", [2, 3])
def test_no_two_threads_write_to_the_same_scores(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """There are as many places for scores as workers: each is used again once it is free."""
    handed_out: list[Sequence[Task]] = []
    real = output.run_tasks
    monkeypatch.setattr(output, "run_tasks", lambda tasks: handed_out.append(tasks) or real(tasks))
    monkeypatch.setattr(output, "CHUNK_SCORES", 6 * V)
    model = model_of("rnn", {})
    with use_workers(number):
        model.target_log_probs(blocks_of(V, N, T, 1)[0], model.start(N))
    (tasks,) = handed_out
    assert len(tasks) > 2 * number
    for k, task in enumerate(tasks):
        assert list(task.after) == ([tasks[k - number]] if k >= number else [])


@pytest.mark.parametrize("rows", [1, 5, 1000])
def test_no_more_scores_are_allocated_than_with_one_thread(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(output, "CHUNK_SCORES", rows * V)
    sizes: list[int] = []
    real = output.kernels_for
    monkeypatch.setattr(output, "kernels_for", lambda scores: sizes.append(scores.size) or real(scores))
    model = model_of("rnn", {})
    (ids,) = blocks_of(V, N, T, 1)
    alone, _ = model.target_log_probs(ids, model.start(N))
    sizes.clear()
    with use_workers(3):
        together, _ = model.target_log_probs(ids, model.start(N))
    assert_allclose(together, alone, rtol=1e-12)
    assert max(sizes) <= -(-rows // 3) * V
    assert sum(sizes) == N * T * V
