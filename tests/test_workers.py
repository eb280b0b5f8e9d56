"""Tasks done by several threads: in order, all of them, and without an end that hangs."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController, threadpool_limits

from elman import workers
from elman.workers import (
    MAX_WORKERS,
    MIN_PARALLEL_MULTIPLICATIONS,
    Task,
    limited_threads,
    run_parallel,
    run_tasks,
    split_evenly,
    use_workers,
    worker_count,
)
from support.waiting import LONG

several = pytest.mark.parametrize("number", [2, 3, 5])


def in_time(work: Callable[[], Any], number: int) -> Any:
    """Return what ``work`` returns, or raise what it raises, with so many workers; hanging is an error."""
    outcome: Future[Any] = Future()

    def worked() -> None:
        try:
            with use_workers(number):
                outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=worked, daemon=True).start()
    return outcome.result(LONG)


def meeting(parties: int) -> Callable[[], None]:
    """Return a function that returns once so many threads have called it."""
    barrier = threading.Barrier(parties)
    return lambda: barrier.wait(LONG) and None


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a list of tasks has been stopped."""
    event, stop = threading.Event(), workers._TaskList.stop

    def and_record(self: Any) -> None:
        stop(self)
        event.set()

    monkeypatch.setattr(workers._TaskList, "stop", and_record)
    return event


# Order


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    """For each task, the numbers of the tasks it waits for, which come before it in the list."""
    size = draw(st.integers(0, 14))
    return [sorted(draw(st.sets(st.integers(0, k - 1), max_size=3))) if k else [] for k in range(size)]


@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(graph=graphs(), number=st.integers(1, 5))
def test_every_task_runs_once_and_after_those_it_waits_for(graph: list[list[int]], number: int) -> None:
    values: list[int | None] = [None] * len(graph)
    done: list[int] = []

    def work(k: int) -> None:
        before = [values[j] for j in graph[k]]
        assert None not in before
        values[k] = 31 * k + sum(value or 0 for value in before) % 1009
        done.append(k)

    def worked() -> None:
        tasks: list[Task] = []
        for k, before in enumerate(graph):
            tasks.append(Task(lambda k=k: work(k), [tasks[j] for j in before]))
        run_tasks(tasks)

    in_time(worked, number)
    expected: list[int] = []
    for k, before in enumerate(graph):
        expected.append(31 * k + sum(expected[j] for j in before) % 1009)
    assert values == expected
    assert sorted(done) == list(range(len(graph)))
    if number == 1:
        assert done == sorted(done)


def test_the_first_ready_task_runs_first() -> None:
    """The other thread is blocked until all is done, so that this one goes through the list alone."""
    done: list[str] = []
    others_turn, may_continue = threading.Event(), threading.Event()

    def wait() -> None:
        others_turn.set()
        assert may_continue.wait(LONG)

    blocked = Task(wait)
    begun = Task(lambda: others_turn.wait(LONG) and None)
    tasks = [blocked, begun, Task(lambda: done.append("late"), [blocked])]
    tasks += [Task(lambda name=name: done.append(name), [begun]) for name in "abc"]
    tasks.append(Task(may_continue.set, tasks[3:]))
    in_time(lambda: run_tasks(tasks), 2)
    assert done == ["a", "b", "c", "late"]


def test_a_task_waits_for_all_its_dependencies() -> None:
    """Even if some of them are done, and there is nothing else to do but what comes after it."""
    done: list[str] = []
    release = threading.Event()

    def slow() -> None:
        assert release.wait(LONG)
        done.append("slow")

    for turned in (False, True):
        done.clear()
        release.clear()
        before = [Task(slow), Task(lambda: done.append("quick"))]
        last = Task(lambda: done.append("last"), before[::-1] if turned else before)
        tasks = [*before, last, Task(release.set)]
        in_time(partial(run_tasks, tasks), 2)
        assert done == ["quick", "slow", "last"]


@several
def test_waiting_threads_are_notified_when_a_task_is_done(number: int) -> None:
    """All wait for one thread, the calling thread longer than the others; then one task is left for all of them."""
    meet, done = meeting(number), []

    def worked() -> None:
        me = threading.get_ident()
        busy = threading.Lock()

        def work() -> None:
            meet()
            if threading.get_ident() == me:
                time.sleep(0.01)
            elif busy.acquire(blocking=False):
                time.sleep(0.03)

        first = [Task(work) for _ in range(number)]
        run_tasks([*first, Task(lambda: done.append("last"), first)])

    in_time(worked, number)
    assert done == ["last"]


@several
def test_as_many_threads_run_as_there_are_workers(number: int) -> None:
    threads: set[int] = set()
    meet = meeting(number)

    def work() -> None:
        meet()
        threads.add(threading.get_ident())

    in_time(lambda: run_parallel(*[work] * number), number)
    assert len(threads) == number


@several
def test_no_more_threads_run_than_there_are_workers(number: int) -> None:
    at_work: list[int] = []
    most, lock = 0, threading.Lock()

    def work() -> None:
        nonlocal most
        with lock:
            at_work.append(1)
            most = max(most, len(at_work))
        time.sleep(0.001)
        with lock:
            at_work.pop()

    in_time(lambda: run_parallel(*[work] * 30), number)
    assert most <= number


def test_one_worker_runs_in_the_calling_thread() -> None:
    threads: list[int] = []
    run_parallel(*[lambda: threads.append(threading.get_ident())] * 3)
    assert threads == [threading.get_ident()] * 3


def test_a_single_task_runs_in_the_calling_thread_with_all_workers() -> None:
    """So its own tasks may run in parallel."""
    seen: list[Any] = []
    with use_workers(3):
        run_tasks([Task(lambda: seen.append((threading.get_ident(), worker_count())))])
    assert seen == [(threading.get_ident(), 3)]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_empty_list_of_tasks(number: int) -> None:
    in_time(lambda: run_tasks([]), number)
    in_time(run_parallel, number)


@several
def test_many_tasks_and_few_pauses(number: int) -> None:
    """A chain next to independent tasks, many times: waiting threads are always woken."""

    def worked() -> list[int]:
        done: list[int] = []
        tasks: list[Task] = []
        for k in range(40):
            tasks.append(Task(lambda k=k: done.append(k), tasks[-2:-1] if k % 2 else []))
        run_tasks(tasks)
        return done

    for _ in range(30):
        done = in_time(worked, number)
        assert sorted(done) == list(range(40))
        assert [k for k in done if k % 2] == list(range(1, 40, 2))


# Tasks within tasks


@several
def test_a_task_has_one_worker_and_runs_its_own_tasks_in_turn(number: int) -> None:
    """There are more outer tasks than threads: none may block a thread while it waits for another."""
    seen: list[int] = []
    inner: dict[int, list[int]] = {k: [] for k in range(40)}

    def outer(k: int) -> None:
        seen.append(worker_count())
        run_parallel(*(lambda j=j: inner[k].append(j) for j in range(5)))

    def worked() -> int:
        run_parallel(*(lambda k=k: outer(k) for k in range(40)))
        return worker_count()

    assert in_time(worked, number) == number
    assert seen == [1] * 40
    assert all(done == list(range(5)) for done in inner.values())


def test_tasks_of_several_threads_do_not_mix() -> None:
    done: dict[int, list[int]] = {k: [] for k in range(4)}

    def work(k: int) -> None:
        for _ in range(10):
            run_parallel(*(lambda j=j: done[k].append(j) for j in range(5)))

    threads = [threading.Thread(target=in_time, args=(lambda k=k: work(k), 3)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
    assert all(sorted(numbers) == sorted([*range(5)] * 10) for numbers in done.values())


# Exceptions


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("mine", [True, False])
def test_an_exception_stops_the_tasks_and_is_raised_when_all_have_ended(
    stopped: threading.Event, mine: bool, error: type[BaseException]
) -> None:
    """It is raised in the calling thread or in another; the running task ends, and no further one begins."""
    meet, done = meeting(2), []

    def worked() -> None:
        me = threading.get_ident()

        def work() -> None:
            meet()
            if (threading.get_ident() == me) == mine:
                raise error("raised by the task")
            assert stopped.wait(LONG)
            time.sleep(0.02)
            done.append("running")

        first, second = Task(work), Task(work)
        never = [Task(lambda: done.append("too late"), after) for after in ([], [first], [second])]
        run_tasks([first, second, *never])

    with pytest.raises(error, match="raised by the task"):
        in_time(worked, 2)
    assert done == ["running"]


@several
def test_threads_that_wait_for_a_failing_task_are_woken(number: int) -> None:
    def fail() -> None:
        time.sleep(0.01)
        raise ValueError("failed")

    failing = Task(fail)
    with pytest.raises(ValueError, match="failed"):
        in_time(lambda: run_tasks([failing, *(Task(lambda: None, [failing]) for _ in range(9))]), number)


def test_of_two_exceptions_one_is_raised_and_later_tasks_still_run() -> None:
    meet = meeting(2)

    def fail() -> None:
        meet()
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        in_time(lambda: run_parallel(fail, fail), 2)
    done: list[int] = []
    in_time(lambda: run_parallel(*[lambda: done.append(1)] * 5), 2)
    assert done == [1] * 5


@pytest.mark.parametrize("number", [1, 2])
def test_after_an_exception_there_are_as_many_workers_as_before(number: int) -> None:
    def worked() -> int:
        with pytest.raises(ValueError, match="failed"):
            run_parallel(*[lambda: (_ for _ in ()).throw(ValueError("failed"))] * 3)
        return worker_count()

    assert in_time(worked, number) == number


def test_an_interruption_of_the_calling_thread_waits_for_the_others(stopped: threading.Event) -> None:
    meet, ended = meeting(2), threading.Event()

    def worked() -> bool:
        me = threading.get_ident()

        def work() -> None:
            meet()
            if threading.get_ident() == me:
                raise KeyboardInterrupt
            assert stopped.wait(LONG)
            time.sleep(0.05)
            ended.set()

        with pytest.raises(KeyboardInterrupt):
            run_parallel(work, work)
        return ended.is_set()

    assert in_time(worked, 2)


# The context of the threads


COLOUR: ContextVar[str] = ContextVar("COLOUR", default="none")


def test_context_variables_and_floating_point_settings_reach_every_thread() -> None:
    meet, seen = meeting(3), []

    def work() -> None:
        meet()
        np.array([1e38], dtype="f") * np.float32(1e38)  # without errstate a warning, and so an error
        seen.append((COLOUR.get(), np.geterr()["over"]))
        COLOUR.set("changed")

    def worked() -> str:
        COLOUR.set("green")
        with np.errstate(all="ignore"):
            run_parallel(work, work, work)
        return COLOUR.get()

    in_time(worked, 3)
    assert seen == [("green", "ignore")] * 3


# Numbers of workers and parts


def test_use_workers_applies_within_its_block_only() -> None:
    assert worker_count() == 1
    with use_workers(4):
        assert worker_count() == 4
        with use_workers(2):
            assert worker_count() == 2
        assert worker_count() == 4
        with pytest.raises(ValueError, match="within"), use_workers(3):
            raise ValueError("within")
        assert worker_count() == 4
    assert worker_count() == 1


def test_another_thread_has_one_worker() -> None:
    seen: list[int] = []
    with use_workers(4):
        thread = threading.Thread(target=lambda: seen.append(worker_count()))
        thread.start()
        thread.join(LONG)
    assert seen == [1]


@settings(derandomize=True, deadline=None, database=None)
@given(size=st.integers(0, 200), least=st.integers(1, 60), number=st.integers(1, 9))
def test_parts_cover_everything_once_and_are_equal_and_large_enough(
    size: int, least: int, number: int
) -> None:
    with use_workers(number):
        parts = split_evenly(size, least)
    assert [k for part in parts for k in range(size)[part]] == list(range(size))
    assert len(parts) == max(1, min(number, size // least))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) - min(lengths) <= 1
    assert len(parts) == 1 or min(lengths) >= least


def blas_threads() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()]


@pytest.mark.parametrize(
    "size",
    [0, MIN_PARALLEL_MULTIPLICATIONS - 1, MIN_PARALLEL_MULTIPLICATIONS, 10 * MIN_PARALLEL_MULTIPLICATIONS],
)
@pytest.mark.parametrize("allowed", [1, 2])
def test_as_many_workers_as_blas_threads_were_allowed_if_the_model_is_large(size: int, allowed: int) -> None:
    with threadpool_limits(allowed, user_api="blas"):
        before = blas_threads()
        with limited_threads(size):
            assert worker_count() == (max(before, default=1) if size >= MIN_PARALLEL_MULTIPLICATIONS else 1)
            assert blas_threads() == [1] * len(before)
        assert blas_threads() == before
    assert worker_count() == 1


def test_every_thread_can_limit_the_blas() -> None:
    def within() -> list[int]:
        with limited_threads(0):
            return blas_threads()

    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        within()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(within).result() == [1] * len(before)
        assert blas_threads() == before


def test_there_are_never_more_than_max_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MAX_WORKERS", 1)
    assert MAX_WORKERS > 1
    with threadpool_limits(2, user_api="blas"), limited_threads(MIN_PARALLEL_MULTIPLICATIONS):
        assert worker_count() == 1


def test_an_exception_leaves_everything_as_it_was() -> None:
    before = blas_threads()
    with pytest.raises(ValueError, match="within"), limited_threads(MIN_PARALLEL_MULTIPLICATIONS):
        raise ValueError("within")
    assert blas_threads() == before
    assert worker_count() == 1
