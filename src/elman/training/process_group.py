"""Ranks that are processes, on one machine or several, started by torchrun: they exchange arrays by torch.distributed.

NumPy arrays are sent by gloo without being copied, because a torch tensor can share their memory. Every process also
connects to the store of torchrun, a table of names and values over TCP: through it the ranks find each other, hand
over the results of long tasks, show that they are alive, and learn which rank has failed.
"""

import contextlib
import importlib
import json
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np

from elman.arrays import Array, is_torch, to_numpy
from elman.errors import FailedElsewhere, MissingExtra, RunError
from elman.training.ranks import ALONE, RANK, WORLD_SIZE, Ranks

TIMEOUT = 50.0  # seconds without an answer after which a rank is taken for lost
GRACE = 3.0  # seconds in which all ranks that still work notice that one is lost
PAUSE = 0.01  # seconds between two looks into the store
BEAT = 1.0  # seconds between two signs of life within a long task
AGENT_STORE = "TORCHELASTIC_USE_AGENT_STORE"  # set by torchrun, which then provides the store


def started_ranks(timeout: float = TIMEOUT) -> Ranks:
    """Return the ranks that this process belongs to: those that torchrun has started, or itself alone.

    Args:
        timeout: seconds without an answer after which a rank is taken for lost.

    Raises:
        RunError: a rank does not come, or the address of rank 0 cannot be reached or is taken.
        MissingExtra: PyTorch is not installed.
    """
    if RANK not in os.environ or WORLD_SIZE not in os.environ:
        return ALONE
    return ProcessRanks(int(os.environ[RANK]), int(os.environ[WORLD_SIZE]), timeout)


class ProcessRanks(Ranks):
    """One of several processes, which the environment variables of torchrun describe."""

    def __init__(self, rank: int, size: int, timeout: float = TIMEOUT) -> None:
        self.rank, self.size, self.timeout = rank, size, timeout
        try:
            distributed: Any = importlib.import_module("torch.distributed")
        except ImportError as error:
            raise MissingExtra("PyTorch", "distributed") from error
        self._distributed = distributed
        self._torch = sys.modules["torch"]
        self._seconds = timedelta(seconds=timeout)
        self._job = distributed.PrefixStore("elman", self._connected())
        meeting = self._meet()
        self._store = distributed.PrefixStore(meeting, self._job)
        self._tasks = 0
        self._last_beat = 0.0
        self._store.set(f"place-{rank}", f"process {os.getpid()} on {socket.gethostname()}")
        if os.environ["MASTER_ADDR"] in ("127.0.0.1", "localhost") and sys.platform == "linux":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # not the address that the host's name has
        if self._torch.cuda.is_available():
            self._torch.cuda.set_device(
                int(os.environ.get("LOCAL_RANK", 0)) % self._torch.cuda.device_count()
            )
        with self._answered():
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if self._torch.cuda.is_available() else "gloo",
                store=self._store,
                rank=rank,
                world_size=size,
                timeout=self._seconds,
            )

    def _connected(self) -> Any:
        """Return the store at the address of rank 0."""
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        serves = self.first and os.environ.get(AGENT_STORE) != "True"
        try:
            return self._distributed.TCPStore(host, port, None, serves, self._seconds, wait_for_workers=False)
        except RuntimeError as error:
            if serves:
                raise RunError(
                    f"rank 0 cannot listen at {host}:{port} (MASTER_ADDR and MASTER_PORT), probably because another "
                    f"program does; choose another port: {_first_sentence(error)}"
                ) from error
            raise RunError(
                f"rank {self.rank} of {self.size} cannot reach rank 0 at {host}:{port} (MASTER_ADDR and MASTER_PORT) "
                f"within {self.timeout:g} s: {_first_sentence(error)}"
            ) from error

    def _meet(self) -> str:
        """Return a name that only the ranks of this start have: the store may hold entries of an earlier one.

        Every rank shows a number of its own. Rank 0 answers each number it sees with the name, until all have read it.
        """
        until = time.monotonic() + self.timeout
        if not self.first:
            shown = uuid.uuid4().hex
            self._job.set(f"here-{self.rank}", shown)
            while not self._job.check([f"start-{shown}"]):
                self._wait_until(until, [0])
            name: str = self._job.get(f"start-{shown}").decode()
            self._job.set(f"{name}-read-{self.rank}", "")
            return name
        name = uuid.uuid4().hex
        left, answered = set(range(1, self.size)), set[bytes]()
        while left:
            for rank in left:
                if (
                    self._job.check([f"here-{rank}"])
                    and (own := self._job.get(f"here-{rank}")) not in answered
                ):
                    answered.add(own)
                    self._job.set(f"start-{own.decode()}", name)
            left = {rank for rank in left if not self._job.check([f"{name}-read-{rank}"])}
            if left:
                self._wait_until(until, left)
        return name

    def _wait_until(self, until: float, ranks: Any) -> None:
        if time.monotonic() > until:
            raise RunError(
                f"rank {self.rank} of {self.size}: {_names(ranks)} did not start within {self.timeout:g} s; see "
                "whether it has ended with an error, and whether all ranks have the same MASTER_ADDR and MASTER_PORT"
            )
        time.sleep(PAUSE)

    def sum(self, array: Array) -> Callable[[], None]:
        """Start to replace an array by its sum over all ranks; the function returned waits until it is there."""
        return self._reduce(array, self._distributed.ReduceOp.SUM)

    def largest(self, *numbers: float) -> list[float]:
        """Return the largest of each number over all ranks."""
        found = np.array(numbers, np.float64)
        self._reduce(found, self._distributed.ReduceOp.MAX)()
        return found.tolist()  # type: ignore[no-any-return]

    def mark(self, marks: Array) -> Callable[[], None]:
        """Start to set the entries of marks (V,), 0 or 1, that any rank has set; the function returned waits."""
        return self._reduce(marks, self._distributed.ReduceOp.MAX)

    def _reduce(self, array: Array, operation: Any) -> Callable[[], None]:
        tensor = array if is_torch(array) else self._torch.from_numpy(array)
        with self._answered():
            work = self._distributed.all_reduce(tensor, operation, async_op=True)

        def receive() -> None:
            with self._answered():
                work.wait()

        return receive

    def joined(self, rows: Array) -> Array:
        """Return the rows (n, ...) of all ranks below each other: (N, ...)."""
        own = to_numpy(rows)
        number = np.array([len(own)])
        self.sum(number)()
        whole = np.zeros((int(number[0]), *own.shape[1:]), own.dtype)  # (N, ...)
        whole[self.rows(len(whole))] = own
        self.sum(whole)()
        return whole

    def together(self, task: Callable[[], Any]) -> list[Any]:
        """Run a task that may take long, or fail on some ranks only; return every rank's result, as plain data."""
        self._tasks += 1
        name = f"task-{self._tasks}"
        try:
            result = task()
        except Exception as error:
            self._store.set(f"{name} of {self.rank}", json.dumps({"error": str(error)}))
            raise
        self._store.set(f"{name} of {self.rank}", json.dumps({"result": result}))
        outcomes = [self._outcome(name, rank) for rank in range(self.size)]
        for rank, outcome in enumerate(outcomes):
            if "error" in outcome:
                raise FailedElsewhere(f"rank {rank} of {self.size} has failed: {outcome['error']}")
        return [outcome["result"] for outcome in outcomes]

    def _outcome(self, name: str, rank: int) -> dict[str, Any]:
        """Return the outcome of a task on another rank, as soon as it is there."""
        beats, since = -1, time.monotonic()
        while not self._store.check([f"{name} of {rank}"]):
            now = time.monotonic()
            if (found := self._store.add(f"beats-{rank}", 0)) != beats:
                beats, since = found, now
            elif now - since > self.timeout:
                raise RunError(self._lost([rank]))
            time.sleep(PAUSE)
        outcome: dict[str, Any] = json.loads(self._store.get(f"{name} of {rank}"))
        return outcome

    def beat(self) -> None:
        """Show the others, from within a task that takes long, that this rank is at work."""
        if time.monotonic() - self._last_beat > BEAT:
            self._last_beat = time.monotonic()
            self._store.add(f"beats-{self.rank}", 1)

    def recall(self, name: str) -> str | None:
        """Return what was remembered under a name, also before all ranks were started again."""
        return self._job.get(f"memory-{name}").decode() if self._job.check([f"memory-{name}"]) else None

    def remember(self, name: str, value: str) -> None:
        """Keep a value for as long as the job lives."""
        self._job.set(f"memory-{name}", value)

    def leave(self) -> None:
        """End the communication."""
        with contextlib.suppress(RuntimeError):
            self._distributed.destroy_process_group()

    @contextlib.contextmanager
    def _answered(self) -> Iterator[None]:
        """Turn an error of the network in the block into a RunError that names the ranks that are lost."""
        try:
            yield
        except RuntimeError as error:
            raise RunError(self._lost(self._silent(), _first_sentence(error))) from error

    def _silent(self) -> list[int]:
        """Return the ranks that do not notice within a few seconds that something is wrong."""
        try:
            self._store.set(f"failed-{self.rank}", "")
            until = time.monotonic() + GRACE
            left = [*range(self.size)]
            while left and time.monotonic() < until:
                time.sleep(PAUSE)
                left = [rank for rank in left if not self._store.check([f"failed-{rank}"])]
            return left
        except RuntimeError:  # the store has gone, too
            return []

    def _lost(self, ranks: list[int], reason: str = "") -> str:
        """Say which ranks are lost."""
        if not ranks:
            return f"rank {self.rank} of {self.size} has lost the connection to the others: {reason}"
        with contextlib.suppress(RuntimeError):
            for rank in ranks:
                reason += (
                    f"{'; ' if reason else ''}rank {rank} is {self._store.get(f'place-{rank}').decode()}"
                )
        return (
            f"rank {self.rank} of {self.size}: no answer from {_names(ranks)}, which has ended or hangs ({reason}); "
            "the last checkpoint stays"
        )


def _names(ranks: Any) -> str:
    numbers = sorted(ranks)
    return f"rank {', '.join(map(str, numbers))}"


def _first_sentence(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].partition(". ")[0]
