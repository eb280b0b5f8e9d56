"""How fast elman is compared with the alternatives: ``python benchmarks/speed.py [WORKLOAD ...]``.

The workloads are A to H (`workloads.py`), the peers are in `peers/`. All peers of a workload do the same computation,
from the same weights, on the same ids, with the same number of threads, each in its own process. They run in turn
(A B C, A B C, …); the figures are medians over the rounds, and ratios of medians. Before timing, the losses of the
first steps are compared. Corpora come from $ELMAN_DATA; a text of the same statistics is generated where one is
absent. A peer whose library is absent is left out, and reported.
``--beside 1`` measures the same on a machine with another busy process.
``--python torch=PATH`` and ``--python jax=PATH`` name interpreters that have torch or jax (and elman).
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from elman.benchmark.machine import CORETYPE, describe
from elman.benchmark.measurement import Member, measure, team
from elman.environment import usable_cores
from inputs import make_inputs, save_inputs
from peers import KINDS
from tables import Verdict, agreement, markdown, summary, verdicts, workload_table
from workloads import WORKLOADS, Workload, chosen

WORKER = Path(__file__).with_name("worker.py")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"{', '.join(WORKLOADS)}; all by default"
    )
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds (default 7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a peer in a round (default 2)")
    parser.add_argument(
        "--threads", type=int, default=usable_cores(), help="threads of every peer (default: all cores)"
    )
    parser.add_argument("--python", action="append", default=[], metavar="LIBRARY=PATH", help="see above")
    parser.add_argument(
        "--beside",
        type=int,
        default=0,
        metavar="N",
        help="run N other processes meanwhile that each keep a core busy",
    )
    parser.add_argument("--json", metavar="FILE", help="also write all measurements to this file")
    return parser.parse_args()


def run_workload(
    workload: Workload, given: argparse.Namespace, pythons: dict[str, str]
) -> tuple[list[Verdict], dict[str, Any]]:
    """Measure one workload and print its table."""
    print(f"## {workload.name}: {workload.about}\n", flush=True)
    print(f"… {workload.name}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "inputs.npz")
        inputs = make_inputs(workload)
        save_inputs(path, inputs)
        with team_of(workload, path, pythons, given.threads) as (members, absent):
            others = measure(members, given.rounds, given.seconds)
    print(workload_table(workload, members))
    print(agreement(workload, members), f"Text: {inputs.source}.\n")
    if others is not None:
        print(f"Other processes used {others:.0%} of the cores meanwhile.\n")
    for name, reason in absent.items():
        print(f"Left out: {name}: {reason}.\n")
    found = verdicts(workload, members, others)
    raw: dict[str, Any] = {"absent": absent, "text": inputs.source, "others_share": others}
    raw["peers"] = {m.name: _raw(m) for m in members}
    raw["verdicts"] = [asdict(v) for v in found]
    return found, raw


def _raw(member: Member) -> dict[str, Any]:
    return {
        "seconds_per_token": member.rounds,
        "steps_a_round": member.steps,
        "first_losses_nats": member.first_losses,
        "peak_mb": member.peak_mb,
        "libraries_mb": member.libraries_mb,
        "versions": member.versions,
    }


def team_of(
    workload: Workload, inputs: Path, pythons: Mapping[str, str], threads: int
) -> contextlib.AbstractContextManager[tuple[list[Member], dict[str, str]]]:
    """Start the peers of a workload (`worker.py`); yield those that are available, and why the others are not."""
    commands = {
        name: [pythons.get(KINDS[name].python, sys.executable), str(WORKER), name, workload.name, str(inputs)]
        for name in workload.peers
    }
    return team(commands, threads)


@contextlib.contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Within the block, run a number of other processes that each keep a core busy."""
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(number)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    given = options()
    workloads = chosen(given.workloads)
    pythons = dict(item.split("=", 1) for item in given.python)
    machine = describe()
    method = f"{given.rounds} rounds of {given.seconds:g} s per peer, {given.threads} threads"
    if given.beside:
        method += f", with {given.beside} other busy processes"
    print(f"# Speed: {method}\n")
    print(markdown(["machine", ""], [[key, str(value)] for key, value in machine.items()]), flush=True)
    if CORETYPE in os.environ:
        print(
            "OPENBLAS_CORETYPE keeps NumPy's BLAS from choosing the kernels that are fastest on this CPU; to measure "
            "with those, run this as `env -u OPENBLAS_CORETYPE python benchmarks/speed.py …`.\n"
        )
    found: list[Verdict] = []
    raw: dict[str, Any] = {}
    with busy_processes(given.beside):
        for workload in workloads:
            judged, raw[workload.name] = run_workload(workload, given, pythons)
            found += judged
    versions = {
        k: v for r in raw.values() for peer in r["peers"].values() for k, v in peer["versions"].items()
    }
    print("Libraries: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "\n")
    print("## Summary\n\n" + summary(found))
    if given.json:
        everything = {"machine": machine, "method": method, "versions": versions, "works": raw}
        Path(given.json).write_text(json.dumps(everything, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
