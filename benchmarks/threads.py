"""How much faster several threads score lines with one model: ``python benchmarks/threads.py``.

Every thread calls `TextModel.score`, a line at a time, as a service with a thread pool does. The model is an LSTM of
two layers of 200 units over 10,000 words with random weights; the lines are random words, 20 each. The rounds of all
thread counts alternate; the figures are medians, and ratios of medians.
"""

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from elman import RecurrentLM, TextModel, Vocabulary, make_tokenizer
from elman.benchmark.machine import describe

V, UNITS, LAYERS, WORDS = 10_000, 200, 2, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4], help="default 1 2 4")
    parser.add_argument("--lines", type=int, default=400, help="scored in a round (default 400)")
    parser.add_argument("--rounds", type=int, default=9, help="default 9")
    given = parser.parse_args()

    rng = np.random.default_rng(0)
    words = [f"w{k}" for k in range(V - 1)]
    vocabulary = Vocabulary([*words, "<eos>"], eos="<eos>")
    lstm = RecurrentLM(V, UNITS, UNITS, cell="lstm", layers=LAYERS, rng=rng)
    model = TextModel(lstm, make_tokenizer("word"), vocabulary)
    lines = [" ".join(rng.choice(words, WORDS)) for _ in range(given.lines)]
    alone = [model.score(line) for line in lines]

    seconds: dict[int, list[float]] = {threads: [] for threads in given.threads}
    for _ in range(given.rounds):
        for threads, rounds in seconds.items():
            with ThreadPoolExecutor(threads) as pool:
                began = time.perf_counter()
                scores = list(pool.map(model.score, lines))
                rounds.append(time.perf_counter() - began)
            if scores != alone:
                raise SystemExit(f"{threads} threads gave other scores than one")

    print("; ".join(f"{name} {value}" for name, value in describe().items()))
    print(f"LSTM {LAYERS}×{UNITS}, V {V:,}, {given.lines} lines of {WORDS} words, {given.rounds} rounds\n")
    print("| threads | lines/s | over one thread |\n|---|---|---|")
    medians = {threads: statistics.median(rounds) for threads, rounds in seconds.items()}
    first = medians[given.threads[0]]
    for threads, median in medians.items():
        print(f"| {threads} | {given.lines / median:,.0f} | {first / median:.2f}× |")


if __name__ == "__main__":
    main()
