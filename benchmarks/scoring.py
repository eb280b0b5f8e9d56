"""How fast lines are scored, compared with KenLM: `python benchmarks/scoring.py [TEXT]` (default: PTB's test part).

A Kneser-Ney 5-gram of PTB is written as an ARPA file, and read by KenLM's module (`pip install ufal-kenlm`) and by
elman. Both score the lines of TEXT one by one and, elman only, many at a time, after each has scored them once. Rounds
alternate; medians of processor time are shown, in one thread. For recurrent models and PyTorch see workload H of
`python benchmarks/speed.py`.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kenlm

import elman
from elman.evaluation.line_scores import warm_up
from elman.formats.arpa_writer import write_arpa
from elman.text import datasets

ROUNDS = 5


def timed(ways: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median seconds of processor time of each function, which is called once before."""
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.process_time()
            way()
            seconds[name].append(time.process_time() - began)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def main() -> None:
    (text,) = datasets.resolve(sys.argv[1] if len(sys.argv) > 1 else "ptb", "test")
    lines = text.read_text(encoding="utf-8").splitlines()
    words = sum(len(line.split()) + 1 for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        run, arpa = Path(folder, "kn5"), Path(folder, "kn5.arpa")
        elman.train("ptb", run, model="ngram", order=5)
        model = elman.load(run)
        write_arpa(arpa, model)
        theirs = kenlm.Model(str(arpa))
        opening = timed(
            {
                "KenLM, ARPA file": lambda: kenlm.Model(str(arpa)),
                "elman, ARPA file": lambda: elman.load(arpa),
                "elman, run": lambda: elman.load(run),
                "elman, run, `verify=False`": lambda: elman.load(run, verify=False),
                "elman, run, `verify=False`, with the hash table": lambda: warm_up(
                    elman.load(run, verify=False)
                ),
            }
        )
    warm_up(model)
    scoring: dict[str, Callable[[], float]] = {
        "KenLM, one by one": lambda: sum(theirs.score(line) for line in lines),
        "elman, one by one (`model.score`)": lambda: sum(model.score(line) for line in lines),
        "elman, many at a time (`model.scores`)": lambda: float(model.scores(lines).sum()),
    }
    taken = timed(scoring)
    print(f"{text.name}: {len(lines):,} lines, {words:,} words with their ends; {model.model!r}\n")
    print("| way | lines/s | words/s | total log10 |\n| --- | --- | --- | --- |")
    for name, seconds in taken.items():
        print(f"| {name} | {len(lines) / seconds:,.0f} | {words / seconds:,.0f} | {scoring[name]():.2f} |")
    print("\n| opened | seconds |\n| --- | --- |")
    for name, seconds in opening.items():
        print(f"| {name} | {seconds:.3f} |")


if __name__ == "__main__":
    main()
