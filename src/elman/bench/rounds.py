"""Peers timed in turn: A B C, A B C, …, so that what disturbs one disturbs the others."""

import os
import time
from collections.abc import Sequence

from elman.bench.machine import busy_seconds
from elman.bench.member import Member

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
