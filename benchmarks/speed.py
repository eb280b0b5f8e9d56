"""How fast elman is beside what people would use instead: ``python benchmarks/speed.py [WORK ...]``.

The works are A to H (`works.py`), the peers in `peers/`. All peers of a work do the same computation, from the
same weights, on the same ids, with the same number of threads, each in a process of its own; they are told
in turn to run for a moment (A B C, A B C, …), and what is quoted are medians over the rounds and ratios of
medians. Before the clock starts, the losses of the first steps are compared. Corpora come from $ELMAN_DATA; a
text of the same statistics is made up where one is absent. A peer whose library is absent is left out, saying so;
``--beside 1`` asks what is left of it on a machine that is shared.
``--python torch=PATH`` and ``--python jax=PATH`` name interpreters that have torch or jax (and elman).
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from elman.bench.machine import CORETYPE, describe, usable_cores
from elman.bench.measurement import Member, measure
from inputs import make_inputs, save_inputs
from tables import Verdict, agreement, markdown, summary, verdicts, work_table
from team import team_of
from works import WORKS, Work, chosen


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "works", nargs="*", metavar="WORK", help=f"{', '.join(WORKS)}; all where none is named"
    )
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds (default 7)")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of one peer's turn in a round (default 2)"
    )
    parser.add_argument(
        "--threads", type=int, default=usable_cores(), help="of every peer (default: all cores)"
    )
    parser.add_argument("--python", action="append", default=[], metavar="LIBRARY=PATH", help="see above")
    parser.add_argument(
        "--beside",
        type=int,
        default=0,
        metavar="N",
        help="so many other processes that keep a core busy each",
    )
    parser.add_argument("--json", metavar="FILE", help="write everything measured here, too")
    return parser.parse_args()


def run_work(
    work: Work, given: argparse.Namespace, pythons: dict[str, str]
) -> tuple[list[Verdict], dict[str, Any]]:
    """Measure one work and print its table."""
    print(f"## {work.name}: {work.about}\n", flush=True)
    print(f"… {work.name}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "inputs.npz")
        inputs = make_inputs(work)
        save_inputs(path, inputs)
        with team_of(work, path, pythons, given.threads) as (members, absent):
            others = measure(members, given.rounds, given.seconds)
    print(work_table(work, members))
    print(agreement(work, members), f"Text: {inputs.source}.\n")
    if others is not None:
        print(f"Other processes took {others:.0%} of the cores meanwhile.\n")
    for name, reason in absent.items():
        print(f"Left out: {name}: {reason}.\n")
    found = verdicts(work, members, others)
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


@contextlib.contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Within the block, let so many other processes keep a core busy each."""
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
    works = chosen(given.works)
    pythons = dict(item.split("=", 1) for item in given.python)
    machine = describe()
    method = f"{given.rounds} rounds of {given.seconds:g} s a peer, {given.threads} threads"
    if given.beside:
        method += f", beside {given.beside} other busy processes"
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
        for work in works:
            judged, raw[work.name] = run_work(work, given, pythons)
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
