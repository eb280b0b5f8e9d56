"""Time the peers of a workload in turn, each in its own process.

One peer of a work, at work in a process of its own.

Peers timed in turn: A B C, A B C, …, so that what disturbs one disturbs the others.

One work measured: who needed how long a token, and how much memory.
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

from elman.bench.machine import busy_seconds, with_threads
from elman.bench.workloads import Work
from elman.errors import MissingExtra, RunError


@dataclass
class Member:
    """One peer at work, and what has been measured of it."""

    name: str
    process: subprocess.Popen[str]
    libraries_mb: float = 0.0
    peak_mb: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    first_losses: list[float] = field(default_factory=list)  # nats a token
    rounds: list[float] = field(default_factory=list)  # seconds a token
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
        """Return what it says next. Raises RunError where it has died."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise RunError(f"the process of the peer {self.name} died; its own words are above")
        return dict(json.loads(line))

    def run(self, steps: int) -> dict[str, Any]:
        """Have it do so many steps; return seconds, tokens, losses."""
        with contextlib.suppress(BrokenPipeError):  # it has died, as its silence will tell
            print(steps, file=self.process.stdin, flush=True)
        found = self.answer()
        self.peak_mb = found["peak_mb"]
        return found

    def calibrate(self, seconds: float) -> None:
        """Warm up, and find how many steps a round of so many seconds holds."""
        steps = 1
        while (found := self.run(steps)["seconds"]) < seconds / 4:
            steps *= 2
        self.steps = max(1, round(steps * seconds / found))

    def round(self) -> float:
        """Time one round; return the CPU time that it took."""
        found = self.run(self.steps)
        self.rounds.append(found["seconds"] / found["tokens"])
        return float(found["cpu_seconds"])

    def close(self) -> None:
        """End it: at the end of its input it stops by itself, unless it is in the middle of something."""
        try:
            self.process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


@contextlib.contextmanager
def team(
    commands: Mapping[str, Sequence[str]], threads: int
) -> Iterator[tuple[list[Member], dict[str, str]]]:
    """Start a process for each name; give those that are here, and why the others are not."""
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
    """Note everyone's first losses; then time A B C … A B C …, each turn of about so many seconds.

    Return the share of the machine's cores that other processes took during the rounds; None where unknown.
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
    """A work and its members, each with its rounds; ``others_share`` of the cores went to other processes."""

    work: Work
    members: dict[str, Member]
    others_share: float | None

    @property
    def ours(self) -> Member:
        """The member that is elman."""
        return self.members[OURS]

    @property
    def libraries(self) -> dict[str, str]:
        """The versions of what the members worked with."""
        return {name: v for member in self.members.values() for name, v in member.versions.items()}

    @property
    def share_of_floor(self) -> float:
        """The floor's time over elman's: the ratio of their medians."""
        return self.members[FLOOR].seconds_per_token / self.ours.seconds_per_token

    def times_as_fast(self, peer: str) -> float:
        """Return a peer's time over elman's: the ratio of their medians."""
        return self.members[peer].seconds_per_token / self.ours.seconds_per_token

    def loss_gap_nats(self, peer: str) -> float:
        """Return how far a peer's first losses are from elman's, which began with the same weights."""
        pairs = zip(self.ours.first_losses, self.members[peer].first_losses, strict=True)
        return max(abs(a - b) for a, b in pairs)


def measured(work: Work, peers: Sequence[str], threads: int, seconds: float) -> Result:
    """Time elman, the floor and other peers at a work, each for so many seconds in ROUNDS turns.

    Raises:
        MissingExtra: torch is a peer and is not installed.
        RunError: a process cannot start, or died.
    """
    names = (OURS, FLOOR, *peers)
    commands = {name: [sys.executable, "-m", "elman.bench.worker", name, work.name] for name in names}
    with team(commands, threads) as (members, absent):
        if TORCH in absent:
            raise MissingExtra("torch", "torch")
        if absent:
            raise RunError("; ".join(f"the peer {name} cannot work: {why}" for name, why in absent.items()))
        others_share = measure(members, ROUNDS, seconds / ROUNDS)
    return Result(work, {member.name: member for member in members}, others_share)
