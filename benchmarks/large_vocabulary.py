"""The gain of an adaptive softmax at V = 200,000 and more: ``python benchmarks/large_vocabulary.py``.

One training step (forward, backward, clipping by norm, SGD) of a one-layer LSTM, D = H = 256, on ids drawn by Zipf's
law, P(word of rank r) ∝ 1/r, with the softmax over all words and with the adaptive one. Each has its own process; they
run in turn, and the figures are medians over the rounds and their ratio. Memory is each process's peak. At
V = 1,000,000 the adaptive softmax runs alone.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.benchmark.machine import describe, peak_mb
from elman.benchmark.worker import answer
from elman.benchmark.workloads import zipf
from elman.models.clusters import default_cutoffs
from elman.models.recurrent import RecurrentLM
from elman.training.optimizers import SGD
from elman.training.step import global_norm, norm_scale
from elman.workers import limited_threads
from tables import markdown

D = H = 256
LR, MAX_GRAD = 1.0, 5.0
WARM_UP = 6.0  # seconds
PARTS = ("forward", "backward", "norm", "update, clipped")


@dataclass
class Step:
    """A model, a text to learn, and the seconds that each part of every step took."""

    model: Any
    optimizer: Any
    ids: NDArray[np.int64]
    N: int
    T: int
    at: int = 0
    seconds: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})
    losses: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        size, model = self.N * self.T, self.model
        self.at = self.at if self.at + size < len(self.ids) else 0
        xs, ts = (self.ids[self.at + k : self.at + k + size].reshape(self.N, self.T) for k in (0, 1))
        self.at += size
        clock = [time.perf_counter()]
        self.losses.append(model.forward(xs, ts))
        clock.append(time.perf_counter())
        model.backward()
        clock.append(time.perf_counter())
        rows = model.grad_rows
        scale = norm_scale(global_norm(model.grads, rows), MAX_GRAD)
        clock.append(time.perf_counter())
        self.optimizer.update(model.params, model.grads, rows, scale=scale)
        clock.append(time.perf_counter())
        for part, began, ended in zip(PARTS, clock, clock[1:], strict=False):
            self.seconds[part].append(ended - began)


def zipf_ids(V: int, count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ids (count,) by Zipf's law, and the rank (V,) of each id, which is not its number."""
    drawn = rng.choice(V, count, p=zipf(V))
    by_rank = rng.permutation(V)
    return by_rank[drawn], np.argsort(by_rank)


def build(softmax: str, V: int, N: int, T: int) -> Step:
    rng = np.random.default_rng(0)
    ids, ranks = zipf_ids(V, 20 * N * T, rng)
    adaptive = {"adaptive": default_cutoffs(V), "ranks": ranks} if softmax == "adaptive" else {}
    return Step(RecurrentLM(V, D, H, "lstm", rng=rng, **adaptive), SGD(LR), ids, N, T)


def run_worker(softmax: str, V: int, N: int, T: int) -> None:
    """Build the model, then run the number of steps on each line of input, and answer with the measurements."""
    libraries = peak_mb()
    step = build(softmax, V, N, T)
    weights = sum(p.nbytes for p in step.model.params)
    answer(ready=True)
    for line in sys.stdin:
        step.seconds = {part: [] for part in PARTS}
        with limited_threads(N * T * max(p.size for p in step.model.params)):  # as the trainer does
            for _ in range(int(line)):
                step()
        answer(
            seconds=step.seconds,
            losses=step.losses,
            peak_mb=peak_mb(),
            libraries_mb=libraries,
            weights_mb=weights / (1 << 20),
            embedding_mb=step.model.params[0].nbytes / (1 << 20),
        )


class Member:
    """The process of one softmax, and its measurements."""

    def __init__(self, softmax: str, V: int, N: int, T: int) -> None:
        self.name = softmax
        command = [sys.executable, __file__, "--worker", softmax, *map(str, (V, N, T))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer = self._answer()
        self.rounds: list[float] = []  # seconds per step
        self.parts: dict[str, list[float]] = {part: [] for part in PARTS}
        self.steps = 1  # of a round

    def warm_up(self, round_seconds: float, seconds: float = WARM_UP) -> None:
        """Run until all memory that steps write to has been written once; choose the number of steps of a round."""
        took, began = [self.run(1)], time.perf_counter()
        while len(took) < 3 or time.perf_counter() - began < seconds:
            took.append(self.run(1))
        self.steps = max(1, round(round_seconds / statistics.median(took)))

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"the {self.name} softmax died; its error message is above")
        return dict(json.loads(line))

    def run(self, steps: int) -> float:
        """Run a number of steps; return the median of their seconds."""
        print(steps, file=self.process.stdin, flush=True)
        self.answer = self._answer()
        return statistics.median(map(sum, zip(*self.answer["seconds"].values(), strict=True)))

    def note_round(self) -> None:
        self.rounds.append(self.run(self.steps))
        for part, seconds in self.answer["seconds"].items():
            self.parts[part] += seconds

    @property
    def seconds(self) -> float:
        return statistics.median(self.rounds)

    def end(self) -> None:
        with self.process:  # closes its pipes and waits for it
            pass


def measure(
    V: int, N: int, T: int, names: list[str], rounds: int, seconds: float, warm_up: float = WARM_UP
) -> list[Member]:
    members: list[Member] = []
    try:
        for name in names:
            members.append(Member(name, V, N, T))
            members[-1].warm_up(seconds, warm_up)
        for _ in range(rounds):
            for member in members:
                member.note_round()
    finally:
        for member in members:
            member.end()
    return members


def rows_of(V: int, N: int, T: int, members: list[Member]) -> list[list[str]]:
    full = next((member for member in members if member.name == "full"), None)
    return [
        [
            f"{V:,}",
            f"N {N}, T {T}",
            member.name,
            f"{member.seconds * 1e3:,.0f}",
            "–" if full is None else f"{full.seconds / member.seconds:.1f}×",
            *(f"{statistics.median(member.parts[part]) * 1e3:,.1f}" for part in PARTS),
            f"{member.answer['peak_mb']:,.0f}",
            "–" if full is None else f"{full.answer['peak_mb'] / member.answer['peak_mb']:.1f}×",
            f"{member.answer['libraries_mb']:,.0f}",
            f"{member.answer['weights_mb']:,.0f}",
            f"{member.answer['embedding_mb'] / member.answer['weights_mb']:.0%}",
        ]
        for member in members
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default 3)")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="of one softmax's turn in a round (default 1)"
    )
    parser.add_argument("--worker", nargs=4, metavar=("SOFTMAX", "V", "N", "T"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        softmax, *sizes = given.worker
        run_worker(softmax, *map(int, sizes))
        return
    print(f"# An adaptive softmax: {given.rounds} rounds of {given.seconds:g} s or one step\n")
    print(markdown(["machine", ""], [[key, str(value)] for key, value in describe().items()]), flush=True)
    rows = []
    for V, N, T, names in (
        (200_000, 20, 35, ["full", "adaptive"]),
        (200_000, 20, 20, ["full", "adaptive"]),
        (1_000_000, 20, 35, ["adaptive"]),
    ):
        print(f"… V {V:,}, N {N}, T {T}", file=sys.stderr, flush=True)
        rows += rows_of(V, N, T, measure(V, N, T, names, given.rounds, given.seconds))
    header = [
        "V",
        "block",
        "softmax",
        "ms a step",
        "times as fast",
        *PARTS,
        "peak MB",
        "of the full's",
        "libraries MB",
        "weights MB",
    ]
    print(markdown([*header, "of which the embedding"], rows))
    print(
        "With the adaptive softmax the embedding table (V × D) is nearly all of the model, and nearly all of the "
        "memory, together with its gradient of the same shape. A step reads and writes only those of their rows "
        "that stand in the block."
    )


if __name__ == "__main__":
    main()
