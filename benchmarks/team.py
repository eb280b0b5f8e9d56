"""The peers of one work, each in a process of its own, told in turn to run a number of steps."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import busy_seconds
from peers import KINDS
from works import Work

HERE = Path(__file__).parent
CHECKED_STEPS = 3
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


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
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """The slowest round's time over the fastest's."""
        return max(self.rounds) / min(self.rounds)

    def answer(self) -> dict[str, Any]:
        """Return what it says next."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"the peer {self.name} died; its own words are above")
        return dict(json.loads(line))

    def run(self, steps: int) -> dict[str, Any]:
        """Have it do so many steps; return seconds, tokens, losses."""
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
    work: Work, inputs: Path, pythons: Mapping[str, str], threads: int
) -> Iterator[tuple[list[Member], dict[str, str]]]:
    """Start the peers of a work; give those that are here, and why the others are not."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    members: list[Member] = []
    absent: dict[str, str] = {}
    try:
        for name in work.peers:
            python = pythons.get(KINDS[name].python, sys.executable)
            command = [python, str(HERE / "worker.py"), name, work.name, str(inputs)]
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


def measure(members: list[Member], rounds: int, seconds: float) -> float | None:
    """Note everyone's first losses; then time A B C … A B C ….

    Return the share of the machine's cores that other processes took during the rounds.
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
