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
from itertools import product
from typing import Any, Generic, TypeVar, cast

import numpy as np

T = TypeVar("T")

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


class SharedSetting(Generic[T]):
    """A setting of the whole process, in force while at least one thread is within a block of `held`.

    ``change`` puts it in force and returns what was set before, which ``restore`` sets again. Blocks of several
    threads may overlap in any order.
    """

    def __init__(self, change: Callable[[], T], restore: Callable[[T], None]) -> None:
        self._change, self._restore = change, restore
        self._lock = threading.Lock()
        self._befores: list[T] = []  # one for each block; the first that entered found it

    @contextmanager
    def held(self) -> Iterator[T]:
        """Keep the setting in force within the block; yield what was set before."""
        with self._lock:
            before = self._befores[0] if self._befores else self._change()
            self._befores.append(before)
        try:
            yield before
        finally:
            with self._lock:
                self._befores.pop()
                if not self._befores:
                    self._restore(before)


@cache
def _blas() -> list[Any]:
    from threadpoolctl import ThreadpoolController  # slow to import: only where something is computed

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


@cache
def _setters() -> list[Callable[[int], object]]:
    return [_setter(library) for library in _blas()]


def _setter(library: Any) -> Callable[[int], object]:
    """Return the function that sets the number of threads of a BLAS.

    It is OpenBLAS's own where the threads are OpenBLAS's own, too: that of threadpoolctl 3.8 silently ignores all
    threads but the first that calls it.
    """
    if library.internal_api == "openblas" and library.threading_layer != "openmp":
        for prefix, suffix in product(("", "scipy_"), ("", "64_", "_64")):
            name = f"{prefix}openblas_set_num_threads{suffix}"
            if hasattr(library.dynlib, name):
                return cast(Callable[[int], object], getattr(library.dynlib, name))
    return cast(Callable[[int], object], library.set_num_threads)


def blas_function(name: str) -> Any:
    """Return a function of the OpenBLAS in NumPy's wheels, whose integers have 64 bits; None with another BLAS."""
    names = [f"{prefix}{name}64_" for prefix in ("scipy_", "")]
    found = (getattr(library.dynlib, each, None) for library in _blas() for each in names)
    return next((function for function in found if function is not None), None)


def _limit_blas() -> list[int]:
    """Limit every BLAS to one thread; return how many each had."""
    before = [library.get_num_threads() for library in _blas()]
    _set_blas_threads([1] * len(before))
    return before


def _set_blas_threads(numbers: list[int]) -> None:
    for set_threads, number in zip(_setters(), numbers, strict=True):
        set_threads(number)


_one_blas_thread = SharedSetting(_limit_blas, _set_blas_threads)
_within_limit: ContextVar[bool] = ContextVar("within_limit", default=False)


@contextmanager
def limited_threads(multiplications: int) -> Iterator[None]:
    """Within the block, limit the BLAS to one thread, and let several tasks run at once if the model is large.

    Args:
        multiplications: how many the largest product of the model has; 0 for a model that reads one token at a time.

    Waking threads for a product of a few microseconds costs more than it gains, many times so if the cores are busy.
    As many tasks run at once as the BLAS was allowed threads: $OPENBLAS_NUM_THREADS or $OMP_NUM_THREADS limits them.
    A block within a block of the same thread changes nothing.
    """
    if _within_limit.get():
        yield
        return
    with _one_blas_thread.held() as before:
        number = min(max(before, default=1), MAX_WORKERS)
        token = _within_limit.set(True)
        try:
            with use_workers(number if multiplications >= MIN_PARALLEL_MULTIPLICATIONS else 1):
                yield
        finally:
            _within_limit.reset(token)


class Pool(Generic[T]):
    """Work buffers of which each call borrows one, so that calls from several threads never share any.

    ``make`` makes one when all others are borrowed: there are as many as threads that called at the same time.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._free: list[T] = []  # append and pop are atomic

    @contextmanager
    def borrow(self) -> Iterator[T]:
        """Yield one that no other thread has within its block."""
        try:
            borrowed = self._free.pop()
        except IndexError:
            borrowed = self._make()
        try:
            yield borrowed
        finally:
            self._free.append(borrowed)
