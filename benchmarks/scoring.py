"""How fast lines are scored, compared with KenLM: `python benchmarks/scoring.py [TEXT]` (default: PTB's test part).

A Kneser-Ney 5-gram of PTB is written as an ARPA file, and read by KenLM's module (`pip install ufal-kenlm`) and by
elman. Both score the lines of TEXT one by one and, elman only, many at a time; rounds alternate, medians are shown. The
files are read before the clock starts. For recurrent models and PyTorch see workload H of `python benchmarks/speed.py`.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import kenlm

import elman
from elman.evaluation.line_scores import score_line, score_lines, warm_up
from elman.formats.arpa_writer import write_arpa
from elman.text import datasets

ROUNDS = 5


def main() -> None:
    (text,) = datasets.resolve(sys.argv[1] if len(sys.argv) > 1 else "ptb", "test")
    lines = text.read_text(encoding="utf-8").splitlines()
    words = sum(len(line.split()) + 1 for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "kn5")
        elman.train("ptb", run, model="ngram", order=5)
        model = elman.load(run)
        arpa = Path(folder, "kn5.arpa")
        write_arpa(arpa, model)
        theirs = kenlm.Model(str(arpa))
    ways: dict[str, Callable[[], float]] = {
        "KenLM, one by one": lambda: sum(theirs.score(line) for line in lines),
        "elman, one by one": lambda: sum(score_line(model, line).log10_prob for line in lines),
        "elman, many at a time (`elman score`)": lambda: sum(
            score.log10_prob for score in score_lines(model, lines)
        ),
    }
    warm_up(model)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    totals = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.perf_counter()
            totals[name] = way()
            seconds[name].append(time.perf_counter() - began)
    print(f"{text.name}: {len(lines):,} lines, {words:,} words with their ends\n")
    print("| way | lines/s | words/s | total log10 |\n| --- | --- | --- | --- |")
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"| {name} | {len(lines) / median:,.0f} | {words / median:,.0f} | {totals[name]:.2f} |")


if __name__ == "__main__":
    main()
