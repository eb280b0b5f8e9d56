"""How much faster several threads read lines with one model: ``python benchmarks/threads.py``.

Every thread calls a method of one `TextModel`, a line at a time, as a service with a thread pool does. The model is an
LSTM of two layers of 200 units over 10,000 words with random weights; the lines are random words, 20 each. Each kind of
kernels (NumPy's, and numba's if it is installed) has a process of its own. The rounds of one thread, of several, and of
as many processes of one thread each alternate; the figures are medians, and ratios of medians. Processes share no
interpreter, so their ratio is what the machine allows.
"""

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np

from elman import RecurrentLM, TextModel, Vocabulary, make_tokenizer
from elman.benchmark.machine import describe
from elman.results import Table

V, UNITS, LAYERS, WORDS = 10_000, 200, 2, 20
CALLS = ("score", "surprisal", "next_distribution")


@cache
def make_model() -> TextModel:
    """Return the model, the same in every process."""
    vocabulary = Vocabulary([*(f"w{k}" for k in range(V - 1)), "<eos>"], eos="<eos>")
    lstm = RecurrentLM(V, UNITS, UNITS, cell="lstm", layers=LAYERS, rng=np.random.default_rng(0))
    return TextModel(lstm, make_tokenizer("word"), vocabulary)


def read(call: str, line: str) -> Any:
    """Call a method of the model with a line."""
    found = getattr(make_model(), call)(line)
    return found.rows if isinstance(found, Table) else found  # rows can be compared


def seconds(call: Callable[[], Any], expected: Any) -> float:
    """Return how long a call takes, which must return this."""
    began = time.perf_counter()
    found = call()
    taken = time.perf_counter() - began
    if found != expected:
        raise SystemExit("several threads gave other numbers than one")
    return taken


def pin(cores: Any) -> None:
    """Keep this thread, or process of one thread, on the next of the cores."""
    os.sched_setaffinity(0, {cores.get()})


def measure(threads: int, number: int, rounds: int, pinned: bool) -> None:
    """Print a row for each call: lines per second in one thread, in several, and in several processes."""
    rng = np.random.default_rng(0)
    lines = [" ".join(f"w{k}" for k in rng.integers(0, V - 1, WORDS)) for _ in range(number)]
    chunk = -(-number // threads)
    context, how = get_context("spawn"), {}
    if pinned:
        cores = context.Queue()
        for core in [k % threads for k in range(1 + threads + threads)]:
            cores.put(sorted(os.sched_getaffinity(0))[core])
        how = {"initializer": pin, "initargs": (cores,)}
    with ExitStack() as stack:
        pools: list[Executor] = [ThreadPoolExecutor(number, **how) for number in (1, threads)]
        pools.append(ProcessPoolExecutor(threads, context, **how))
        for pool in pools:
            stack.enter_context(pool)
        for call in CALLS:
            alone = [read(call, line) for line in lines]

            def run(pool: Executor, call: str = call) -> list[Any]:
                return list(pool.map(read, [call] * number, lines, chunksize=chunk))

            taken: list[list[float]] = [[] for _ in pools]
            for pool in pools:
                run(pool)  # starts threads and processes, and compiles
            for _ in range(rounds):
                for pool, of_pool in zip(pools, taken, strict=True):
                    of_pool.append(seconds(lambda pool=pool: run(pool), alone))  # type: ignore[misc]
            one, several, processes = map(statistics.median, taken)
            kernels = "numba" if os.environ.get("ELMAN_COMPILED") != "0" else "NumPy"
            print(
                f"| {kernels} | `{call}` | {number / one:,.0f} | {number / several:,.0f} "
                f"| {one / several:.2f}× | {one / processes:.2f}× |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2, help="default 2")
    parser.add_argument("--lines", type=int, default=40, help="read in a round (default 40)")
    parser.add_argument("--rounds", type=int, default=15, help="default 15")
    parser.add_argument(
        "--pin", action="store_true", help="a core for each thread: for a busy machine (Linux)"
    )
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        measure(given.threads, given.lines, given.rounds, given.pin)
        return
    print("; ".join(f"{name} {value}" for name, value in describe().items()))
    print(f"LSTM {LAYERS}×{UNITS}, V {V:,}, {given.lines} lines of {WORDS} words, {given.rounds} rounds\n")
    print(f"| kernels | call | lines/s, 1 thread | {given.threads} threads | ratio | of processes |")
    print("|---|---|---|---|---|---|", flush=True)
    for compiled in ["0", "1"] if importlib.util.find_spec("numba") else ["0"]:
        command = [sys.executable, __file__, "--here", *sys.argv[1:]]
        subprocess.run(command, check=True, env={**os.environ, "ELMAN_COMPILED": compiled})


if __name__ == "__main__":
    main()
