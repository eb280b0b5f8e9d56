"""One work measured: who needed how long a token, and how much memory."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from elman.bench.member import Member, team
from elman.bench.rounds import measure
from elman.bench.works import Work
from elman.errors import MissingExtra, RunError

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
