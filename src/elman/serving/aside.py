"""Work that is done beside the engines: one piece at a time, in a thread of its own, while texts go on."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from elman.serving.problems import too_many

T = TypeVar("T")


class Aside:
    """Does pieces of work in the order in which they come; no more than ``most`` wait or are under way.

    There is one thread, however many ask: the engines never share the machine with more than that.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="elman-aside")
        self._pending: set[Future[Any]] = set()

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Hand over a piece of work; one that is cancelled before it has begun never does.

        Raises RequestRefused where too many wait.
        """
        if len(self._pending) >= self._most:
            raise too_many("too many requests wait for a look inside the models")
        future = self._thread.submit(work)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def stop(self) -> None:
        """End the thread, once the piece under way is done; the others are not begun."""
        self._thread.shutdown(cancel_futures=True)
