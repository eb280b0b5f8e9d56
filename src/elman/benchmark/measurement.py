"""Measure the time per token and the memory of a workload's peers, each in its own process.

The peers are timed in turn, A B C, A B C, …, so that a disturbance affects all of them.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elman.benchmark.machine import busy_seconds, with_threads
from elman.benchmark.workloads import Workload
from elman.errors import MissingExtra, RunError


@dataclass
class Member:
    """The process of one peer, and its measurements."""

    name: str
    process: subprocess.Popen[str]
    libraries_mb: float = 0.0
    peak_mb: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    first_losses: list[float] = field(default_factory=list)  # nats per token
    rounds: list[float] = field(default_factory=list)  # seconds per token
    steps: int = 1  # of a round

    @property
    def seconds_per_token(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """The slowest round's time over the fastest's."""
        return max(self.rounds) / min(self.rounds)

    def answer(self) -> dict[str, Any]:
        """Return the process's next answer. Raises RunError where it has died."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise RunError(f"the process of the peer {self.name} died; its error message is above")
        return dict(json.loads(line))

    def run(self, steps: int) -> dict[str, Any]:
        """Run a number of steps; return seconds, tokens, losses."""
        with contextlib.suppress(OSError):  # a broken pipe: it has died, and `answer` raises
            print(steps, file=self.process.stdin, flush=True)
        found = self.answer()
        self.peak_mb = found["peak_mb"]
        return found

    def calibrate(self, seconds: float) -> None:
        """Warm up, and find the number of steps that take this time."""
        steps = 1
        while (found := self.run(steps)["seconds"]) < seconds / 4:
            steps *= 2
        self.steps = max(1, round(steps * seconds / found))

    def round(self) -> float:
        """Time one round; return its CPU seconds."""
        found = self.run(self.steps)
        self.rounds.append(found["seconds"] / found["tokens"])
        return float(found["cpu_seconds"])

    def close(self) -> None:
        """End the process: the end of its input stops it, unless it is still running steps."""
        try:
            self.process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


@contextlib.contextmanager
def team(
    commands: Mapping[str, Sequence[str]], threads: int
) -> Iterator[tuple[list[Member], dict[str, str]]]:
    """Start a process for each name; yield those that are available, and the reasons why the others are not."""
    environment = with_threads(threads)
    members: list[Member] = []
    absent: dict[str, str] = {}
    try:
        for name, command in commands.items():
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
            member = Member(name, process)
            members.append(member)
            ready = member.answer()
            if "absent" in ready:
                absent[name] = ready["absent"]
                members.remove(member)
                member.close()
            else:
                member.libraries_mb, member.versions = ready["libraries_mb"], ready["versions"]
        yield members, absent
    finally:
        for member in members:
            member.close()


CHECKED_STEPS = 3


def measure(members: Sequence[Member], rounds: int, seconds: float) -> float | None:
    """Record each member's first losses, then time A B C … A B C …, each round of about ``seconds``.

    Return the fraction of the machine's cores that other processes used during the rounds; None where unknown.
    """
    for member in members:
        member.first_losses = member.run(CHECKED_STEPS)["losses"]
        member.calibrate(seconds)
    began, busy = time.perf_counter(), busy_seconds()
    ours = sum(member.round() for _ in range(rounds) for member in members)
    wall, busy_then = time.perf_counter() - began, busy_seconds()
    if busy is None or busy_then is None:
        return None
    return max(0.0, busy_then - busy - ours) / (wall * (os.cpu_count() or 1))


ROUNDS = 5
OURS, FLOOR, TORCH = "elman", "floor", "torch"


@dataclass(frozen=True)
class Result:
    """The measurements of a workload; ``others_share`` is the fraction of the cores that other processes used."""

    work: Workload
    members: dict[str, Member]
    others_share: float | None

    @property
    def ours(self) -> Member:
        """The member that is elman."""
        return self.members[OURS]

    @property
    def libraries(self) -> dict[str, str]:
        """The versions of the libraries that the members used."""
        return {name: v for member in self.members.values() for name, v in member.versions.items()}

    @property
    def share_of_floor(self) -> float:
        """The floor's time over elman's: the ratio of their medians."""
        return self.members[FLOOR].seconds_per_token / self.ours.seconds_per_token

    def times_as_fast(self, peer: str) -> float:
        """Return a peer's time over elman's: the ratio of their medians."""
        return self.members[peer].seconds_per_token / self.ours.seconds_per_token

    def loss_gap_nats(self, peer: str) -> float:
        """Return how far a peer's first losses are from elman's, at most; the initial weights are equal."""
        pairs = zip(self.ours.first_losses, self.members[peer].first_losses, strict=True)
        return max(abs(a - b) for a, b in pairs)


def measured(workload: Workload, peers: Sequence[str], threads: int, seconds: float) -> Result:
    """Time elman, the floor and other peers on a workload, each for ``seconds`` in ROUNDS rounds.

    Raises:
        MissingExtra: torch is a peer and is not installed.
        RunError: a process cannot start, or dies.
    """
    names = (OURS, FLOOR, *peers)
    commands = {name: [sys.executable, "-m", "elman.benchmark.worker", name, workload.name] for name in names}
    with team(commands, threads) as (members, absent):
        if TORCH in absent:
            raise MissingExtra("torch", "torch")
        if absent:
            raise RunError("; ".join(f"the peer {name} cannot run: {why}" for name, why in absent.items()))
        others_share = measure(members, ROUNDS, seconds / ROUNDS)
    return Result(workload, {member.name: member for member in members}, others_share)
