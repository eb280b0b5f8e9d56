"""A thread pool for the tasks of one block, and the number of threads that suits a model.

NumPy releases the interpreter's lock during a product and during a pass over a large array. So the tasks of a large
block that do not depend on each other (two layers, each at another time step; the halves of the vocabulary) run in
several threads at once, each with a BLAS of one thread. That is faster than one task at a time with a BLAS of several
threads: a BLAS splits small products badly, and the pointwise operations between them would use one thread only.
For small models one thread is faster than several: see `limited_threads`.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache

import numpy as np

MIN_PARALLEL_MULTIPLICATIONS = 100_000_000  # in the largest product: from here on several threads are faster
MAX_WORKERS = 8
_workers: ContextVar[int] = ContextVar("workers", default=1)


def worker_count() -> int:
    """Return how many tasks may run at once in this context: 1, or the number given to `use_workers`."""
    return _workers.get()


@contextmanager
def use_workers(number: int) -> Iterator[None]:
    """Within the block, let ``number`` tasks run at once."""
    token = _workers.set(number)
    try:
        yield
    finally:
        _workers.reset(token)


class Task:
    """A function to call, and the tasks that must be done before it."""

    def __init__(self, run: Callable[[], None], after: Sequence["Task"] = ()) -> None:
        self.run = run
        self.after = after
        self.done = False

    @property
    def ready(self) -> bool:
        """Whether all tasks before this one are done."""
        return all(task.done for task in self.after)


class _TaskList:
    """The state that the threads running one list of tasks share."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._waiting = list(tasks)
        self._changed = threading.Condition()

    def run(self) -> None:
        """Run tasks until none is left, always the first one that is ready."""
        try:
            with use_workers(1):  # a task that has tasks of its own runs them in turn
                while (task := self._next()) is not None:
                    task.run()
                    with self._changed:
                        task.done = True
                        self._changed.notify_all()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let no thread begin another task."""
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
    """Run every task after those it depends on, which must come before it in the list.

    If a task raises, no further task begins, and the exception is raised again when the running ones have ended.
    """
    if worker_count() == 1 or len(tasks) == 1:
        for task in tasks:
            task.run()
        return
    shared, settings = _TaskList(tasks), np.geterr()

    def run_in_pool() -> None:
        with np.errstate(**settings):  # before NumPy 2 each thread had its own, outside its context
            shared.run()

    others = [
        _pool().submit(copy_context().run, run_in_pool) for _ in range(min(worker_count(), len(tasks)) - 1)
    ]
    try:
        shared.run()
    finally:
        shared.stop()
        wait(others)
    for other in others:
        other.result()


def run_parallel(*functions: Callable[[], None]) -> None:
    """Call functions that do not depend on each other, in parallel."""
    run_tasks([Task(function) for function in functions])


def split_evenly(size: int, least: int) -> list[slice]:
    """Split range(size) into equal parts, one for each worker, of at least ``least`` each."""
    number = max(1, min(worker_count(), size // least))
    if number == 1:
        return [slice(0, size)]
    bounds = [size * k // number for k in range(number + 1)]
    return [slice(*bounds[k : k + 2]) for k in range(number)]


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="elman")


@contextmanager
def limited_threads(multiplications: int) -> Iterator[None]:
    """Within the block, limit the BLAS to one thread, and let several tasks run at once if the model is large.

    Args:
        multiplications: how many the largest product of the model has; 0 for a model that reads one token at a time.

    Waking threads for a product of a few microseconds costs more than it gains, many times so if the cores are busy.
    As many tasks run at once as the BLAS was allowed threads: $OPENBLAS_NUM_THREADS or $OMP_NUM_THREADS limits them.
    """
    from threadpoolctl import ThreadpoolController  # slow to import: only where something is computed

    blas = ThreadpoolController().select(user_api="blas")
    allowed = max((library["num_threads"] for library in blas.info()), default=1)
    parallel = multiplications >= MIN_PARALLEL_MULTIPLICATIONS
    with use_workers(min(allowed, MAX_WORKERS) if parallel else 1), blas.limit(limits=1):
        yield
