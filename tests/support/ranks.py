"""Ranks that are threads of this process: what several processes do, without any network."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from elman.arrays import Array
from elman.errors import FailedElsewhere
from elman.training.ranks import Ranks
from support.waiting import LONG

T = TypeVar("T")


class _Meeting:
    """A place where all threads bring something, and each receives what all brought."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size, timeout=LONG)
        self.brought: list[Any] = [None] * size

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self.brought[rank] = value
        self.barrier.wait()
        all_of_it = list(self.brought)
        self.barrier.wait()
        return all_of_it


class ThreadRanks(Ranks):
    """One of several ranks that meet in this process."""

    def __init__(self, rank: int, size: int, meeting: _Meeting) -> None:
        self.rank, self.size, self._meeting = rank, size, meeting
        self.sent: list[int] = []  # numbers in each array that was summed

    def sum(self, array: Array) -> Callable[[], None]:
        self.sent.append(array.size)
        total = sum(self._meeting.exchange(self.rank, array.copy()))

        def receive() -> None:
            array[...] = total

        return receive

    def largest(self, *numbers: float) -> list[float]:
        return [max(each) for each in zip(*self._meeting.exchange(self.rank, numbers), strict=True)]

    def mark(self, marks: Array) -> Callable[[], None]:
        marks[:] = np.max(self._meeting.exchange(self.rank, marks.copy()), axis=0)
        return lambda: None

    def joined(self, rows: Array) -> Array:
        return np.concatenate(self._meeting.exchange(self.rank, rows))

    def together(self, task: Callable[[], Any]) -> list[Any]:
        error: Exception | None = None
        result = None
        try:
            result = task()
        except Exception as raised:
            error = raised
        outcomes = self._meeting.exchange(self.rank, (result, error))
        if error is not None:
            raise error
        for rank, (_, of_rank) in enumerate(outcomes):
            if of_rank is not None:
                raise FailedElsewhere(f"rank {rank} has failed: {of_rank}")
        return [result for result, _ in outcomes]


def on_ranks(size: int, work: Callable[[Ranks], T]) -> list[T]:
    """Return what ``work`` returns on each of so many ranks."""
    meeting = _Meeting(size)

    def run(rank: int) -> T:
        try:
            return work(ThreadRanks(rank, size, meeting))
        except BaseException:
            meeting.barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(run, rank) for rank in range(size)]
    errors = [error for each in futures if (error := each.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [each.result() for each in futures]
