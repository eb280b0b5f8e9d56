"""The peers of one work, each in a process of its own (`worker.py`)."""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

from elman.bench.measurement import Member, team
from peers import KINDS
from works import Work

WORKER = Path(__file__).with_name("worker.py")


def team_of(
    work: Work, inputs: Path, pythons: Mapping[str, str], threads: int
) -> contextlib.AbstractContextManager[tuple[list[Member], dict[str, str]]]:
    """Start the peers of a work; give those that are here, and why the others are not."""
    commands = {
        name: [pythons.get(KINDS[name].python, sys.executable), str(WORKER), name, work.name, str(inputs)]
        for name in work.peers
    }
    return team(commands, threads)
