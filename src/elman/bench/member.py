"""One peer of a work, at work in a process of its own."""

import contextlib
import json
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elman.bench.machine import with_threads
from elman.errors import RunError


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
