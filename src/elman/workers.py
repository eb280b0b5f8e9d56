"""A thread pool for the parts of one block's work, and how many BLAS threads suit a model.

Pieces of one block's work, side by side in several threads.

NumPy lets other threads run during a product and during a pass over a large array. Where a block is large, its
pieces that do not wait for each other (two layers, each at another place in time; the halves of the vocabulary)
are therefore worked on at once, each with a BLAS of one thread. That beats one piece at a time with a BLAS of
several threads: small products share badly, and the pointwise passes between them would not be shared at all.

How many threads work at once: for small models one is faster than several.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache

import numpy as np

_workers: ContextVar[int] = ContextVar("workers", default=1)


def worker_count() -> int:
    """Return how many pieces may be worked on at once, here and now; 1 unless `use_workers` says more."""
    return _workers.get()


@contextmanager
def use_workers(number: int) -> Iterator[None]:
    """Within the block, let so many pieces be worked on at once."""
    token = _workers.set(number)
    try:
        yield
    finally:
        _workers.reset(token)


class Task:
    """A piece of work, and the pieces that must be done before it."""

    def __init__(self, work: Callable[[], None], after: Sequence["Task"] = ()) -> None:
        self.work = work
        self.after = after
        self.done = False

    @property
    def ready(self) -> bool:
        """Whether nothing stands before it any more."""
        return all(task.done for task in self.after)


class _TaskList:
    """What the threads at work on one list of tasks share."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._waiting = list(tasks)
        self._changed = threading.Condition()

    def work(self) -> None:
        """Do tasks until none is left; the first that is ready comes first."""
        try:
            with use_workers(1):  # a task that has pieces of its own does them in turn
                while (task := self._next()) is not None:
                    task.work()
                    with self._changed:
                        task.done = True
                        self._changed.notify_all()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let no one begin another task."""
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()

    def _next(self) -> Task | None:
        with self._changed:
            while self._waiting:
                for place, task in enumerate(self._waiting):
                    if task.ready:
                        return self._waiting.pop(place)
                self._changed.wait()
            return None


def run_tasks(tasks: Sequence[Task]) -> None:
    """Do every task, each after those that it names, which must stand before it in the list.

    An exception ends the work: no further task begins, and it is raised once those under way have ended.
    """
    if worker_count() == 1 or len(tasks) == 1:
        for task in tasks:
            task.work()
        return
    list_of_tasks, settings = _TaskList(tasks), np.geterr()

    def work_too() -> None:
        with np.errstate(**settings):  # before NumPy 2 they were a thread's own, and not in its context
            list_of_tasks.work()

    others = [
        _pool().submit(copy_context().run, work_too) for _ in range(min(worker_count(), len(tasks)) - 1)
    ]
    try:
        list_of_tasks.work()
    finally:
        list_of_tasks.stop()
        wait(others)
    for other in others:
        other.result()


def run_parallel(*pieces: Callable[[], None]) -> None:
    """Do pieces that do not depend on each other."""
    run_tasks([Task(piece) for piece in pieces])


def split_evenly(size: int, least: int) -> list[slice]:
    """Return the parts of so many things for the hands at work, equal, and no smaller than ``least``."""
    number = max(1, min(worker_count(), size // least))
    if number == 1:
        return [slice(0, size)]
    bounds = [size * k // number for k in range(number + 1)]
    return [slice(*bounds[k : k + 2]) for k in range(number)]


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="elman")


MIN_PARALLEL_MULTIPLICATIONS = (
    100_000_000  # multiplications in the largest product, from which on several threads pay
)
MAX_WORKERS = 8


@contextmanager
def limited_threads(multiplications: int) -> Iterator[None]:
    """Within the block, keep the BLAS to one thread, and share work among threads where it is worth it.

    Waking threads for a product of a few microseconds costs more than it gains, many times so where the
    cores are shared with other work. A model that reads one token at a time makes no large products (0).
    As many threads work at once (see `elman.workers`) as the BLAS was allowed to use: $OPENBLAS_NUM_THREADS or
    $OMP_NUM_THREADS limits them.
    """
    from threadpoolctl import ThreadpoolController

    blas = ThreadpoolController().select(user_api="blas")
    allowed = max((library["num_threads"] for library in blas.info()), default=1)
    sharing = multiplications >= MIN_PARALLEL_MULTIPLICATIONS
    with use_workers(min(allowed, MAX_WORKERS) if sharing else 1), blas.limit(limits=1):
        yield
