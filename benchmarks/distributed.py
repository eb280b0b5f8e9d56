"""How training scales with processes: tokens per second, bytes per update, and the fraction of time in communication.

``python benchmarks/distributed.py --processes 2 --workloads C D E G sampled``. Each process has one thread and the
workload's N sequences, so a minibatch grows with the processes (weak scaling). Beside them: one process of one thread
on N sequences, one process of as many threads, and as many processes that do not communicate, which is what the
machine allows. Text and weights are random; losses do not matter here. ``--quick`` takes less than a minute.

``--cost-model`` measures 4 processes as well, fits the constants of `cost_model` to 2, checks them against 4, and
prints what to expect of 8 to 512 ranks on a network. ``--float16`` trains one process on a text with gradients that are
rounded to float16, as if they had been sent so; with ELMAN_DATA on Penn Treebank. All but that needs the extra
`distributed`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from cost_model import (
    Network,
    Work,
    blocks_needed,
    communication,
    fit,
    most_ranks,
    update_seconds,
    words_used,
)
from elman.benchmark.machine import with_threads
from elman.benchmark.workloads import WORKLOADS, Workload, zipf
from elman.environment import usable_cores
from elman.evaluation.perplexity import evaluate
from elman.layers.sampled import TimeSampledSoftmaxWithLoss
from elman.models.clusters import count_ids
from elman.models.recurrent import RecurrentLM
from elman.training.optimizers import OPTIMIZERS
from elman.training.process_group import ProcessRanks
from elman.training.progress import BlockDone
from elman.training.ranks import ALONE, Ranks
from elman.training.trainer import RnnlmTrainer
from inputs import make_inputs
from tables import markdown
from workloads import WORKLOADS as WITH_TEXTS

SAMPLED = Workload(
    "sampled", "word LSTM, sampled softmax: V 100,000, 200, N 20, T 35, 4,000 candidates", 100_000, 200, 200, 20, 35
)  # fmt: skip
ALL = WORKLOADS | {SAMPLED.name: SAMPLED}
Found = dict[str, float]  # the measurements of one process
CANDIDATES = 4000
WARM_UP = 3  # updates
TEXT = 200_000  # tokens
QUICK = ["D", "G"]
NETWORKS = {  # between machines, one rank on each; the latencies are usual ones of TCP
    "10 Gb/s": Network(50e-6, 8 / 10e9),
    "100 Gb/s": Network(20e-6, 8 / 100e9),
}
BILLION = 10**9  # tokens
VALIDATION = 20_000  # tokens


class MeasuredRanks(ProcessRanks):
    """Ranks that measure how long they wait for each other, and count what they send."""

    waited = 0.0
    bytes = 0
    messages = 0

    def _measured(self, call: Callable[[], Any], size: int = 0) -> Any:
        began = time.perf_counter()
        try:
            return call()
        finally:
            self.waited += time.perf_counter() - began
            self.bytes += size
            self.messages += size > 0

    def _reduce(self, array: Any, operation: Any) -> Callable[[], None]:
        receive = self._measured(lambda: super(MeasuredRanks, self)._reduce(array, operation), array.nbytes)
        return lambda: self._measured(receive)


def train(workload: Workload, seconds: float, ranks: Ranks) -> Found:
    """Train for about so many seconds; return the measurements of this rank."""
    rng = np.random.default_rng(0)
    ids = rng.choice(workload.V, TEXT, p=zipf(workload.V))
    model = RecurrentLM(workload.V, workload.D, workload.H, workload.cell, workload.layers, rng=rng)
    if workload.name == SAMPLED.name:
        counts = count_ids(ids, workload.V)
        model.loss_layer = TimeSampledSoftmaxWithLoss(model.loss_layer, counts, CANDIDATES, rng)
    trainer = RnnlmTrainer(model, OPTIMIZERS[workload.optimizer](lr=1e-3))
    trainer.ranks = ranks
    readings: list[tuple[float, ...]] = []

    def read(seconds: float) -> None:
        counters = (getattr(ranks, name, 0) for name in ("waited", "bytes", "messages"))
        readings.append((seconds, time.process_time(), *counters))

    def watch(event: Any) -> None:
        if not isinstance(event, BlockDone):
            return
        if event.iteration == WARM_UP:
            read(event.seconds)
        elif event.iteration > WARM_UP and event.seconds - readings[0][0] >= seconds:
            trainer.stop()

    N, T = workload.N * ranks.size, workload.T
    trainer.fit(ids[:-1], ids[1:], 10**9, N, T, workload.clip_norm, on_event=watch)
    read(trainer.progress.seconds)
    updates = trainer.progress.iteration - WARM_UP
    elapsed, cpu, waited, sent, messages = (last - first for first, last in zip(*readings, strict=True))
    return {
        "tokens_per_second": updates * N * T / elapsed,
        "cpu": cpu / updates,
        "waiting": waited / elapsed,
        "bytes": sent / updates,
        "messages": messages / updates,
    }


def measured(workload: str, seconds: float, processes: int, threads: int = 1, apart: bool = False) -> Found:
    """Return the measurements of rank 0 of so many processes, each of so many threads.

    ``apart``: they do not communicate; their tokens per second are added up.
    """
    environment = with_threads(threads)
    if processes > 1 and not apart:
        from torch.distributed import TCPStore

        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
        environment |= {"TORCHELASTIC_USE_AGENT_STORE": "True"}
    words = [sys.executable, __file__, "--workloads", workload, "--seconds", str(seconds), "--as-one-of"]
    ranks = [
        subprocess.Popen(
            [*words, "1" if apart else str(processes)],
            env=environment | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    outputs = [rank.communicate()[0] for rank in ranks]
    if any(rank.returncode for rank in ranks):
        sys.exit("a process has failed; its message is above")
    found: list[Found] = [json.loads(output) for output in outputs]
    if apart:
        return {"tokens_per_second": sum(each["tokens_per_second"] for each in found)}
    return found[0]


def fastest(found: list[Found]) -> Found:
    return max(found, key=lambda each: each["tokens_per_second"])


def compare(names: list[str], R: int, seconds: float, rounds: int) -> dict[str, tuple[Found, Found]]:
    """Print how R processes compare; return their measurements apart and together, by workload."""
    found = {}
    print(
        f"| workload | 1 process | {R} threads | {R} processes apart | {R} processes | times | of those apart "
        "| CPU ms an update, 1 process | a rank | communication | MB an update | messages | load |"
    )
    print("|" + " --- |" * 13)
    for name in names:
        turns = [
            (
                measured(name, seconds, 1),
                measured(name, seconds, 1, threads=R),
                measured(name, seconds, R, apart=True),
                measured(name, seconds, R),
            )
            for _ in range(rounds)
        ]
        alone, threads, apart, together = (fastest(list(each)) for each in zip(*turns, strict=True))
        speeds = [each["tokens_per_second"] for each in (alone, threads, apart, together)]
        print(
            f"| {name} | "
            + " | ".join(f"{speed:,.0f}" for speed in speeds)
            + f" | {speeds[3] / speeds[0]:.2f}× | {speeds[3] / speeds[2]:.0%} | "
            f"{alone['cpu'] * 1e3:,.1f} | {together['cpu'] * 1e3:,.1f} | {together['waiting']:.1%} | "
            f"{together['bytes'] / 1e6:.2f} | {together['messages']:.0f} | {os.getloadavg()[0]:.1f} |",
            flush=True,
        )
        found[name] = apart, together
    return found


def work_of(workload: Workload, apart: Found, together: Found, R: int) -> Work:
    """Return what a rank does, from the measurements of R processes."""
    tokens, sampled = workload.N * workload.T, workload.name == SAMPLED.name
    per_word = (
        4 * (workload.D + (workload.H + 1 if sampled else 0)) + 1
    )  # float32, and the mark that it is used
    fixed = together["bytes"] - per_word * words_used(workload.V, tokens * R)
    compute = R * tokens / apart["tokens_per_second"]
    return Work(tokens, compute, together["messages"], max(0.0, fixed), per_word, workload.V)


def print_cost_model(names: list[str], seconds: float, rounds: int) -> None:
    """Fit the model to 2 processes, check it against 4, and print the table of what to expect elsewhere."""
    cores, found = usable_cores(), compare(names, 2, seconds, rounds)
    works = [work_of(ALL[name], *found[name], 2) for name in names]
    of_two = [
        2 * work.tokens / together["tokens_per_second"]
        for work, (_, together) in zip(works, found.values(), strict=True)
    ]
    local = fit(works, 2, of_two)
    if local == Network(0.0, 0.0):
        sys.exit(
            "processes that communicate were not slower than those that do not: other programs disturb too much"
        )
    print(
        f"\nfitted to 2 processes: {local.latency * 1e6:.0f} µs a hop, {local.per_byte * 1e9:.2f} s per GB "
        f"(copying, adding up, sending); {cores} cores\n"
    )
    rows = []
    for name, work, two in zip(names, works, of_two, strict=True):
        many = fastest([measured(name, seconds, 4) for _ in range(rounds)])
        four = 4 * work.tokens / many["tokens_per_second"]
        guesses = [update_seconds(work, R, local, cores) for R in (2, 4)]
        rows.append([name, f"{two * 1e3:,.0f}", f"{guesses[0] * 1e3:,.0f}", f"{guesses[0] / two - 1:+.0%}"])
        rows[-1] += [f"{four * 1e3:,.0f}", f"{guesses[1] * 1e3:,.0f}", f"{guesses[1] / four - 1:+.0%}"]
        rows[-1] += [f"{many['bytes'] / 1e6:.2f}", f"{work.bytes(4) / 1e6:.2f}", f"{os.getloadavg()[0]:.1f}"]
    head = ["workload", "ms of 2", "model", "error", "ms of 4", "model", "error", "MB of 4", "model", "load"]
    print(markdown(head, rows))
    rows = []
    for (label, network), (name, work) in product(NETWORKS.items(), zip(names, works, strict=True)):
        between = local + network
        for R in (8, 64, 512):
            update = update_seconds(work, R, between)
            speed = R * work.tokens / update
            rows.append([label, name, str(R), f"{R * work.tokens:,}", f"{update * 1e3:,.0f}"])
            rows[-1] += [f"{communication(work, R, between) / update:.0%}", f"{speed:,.0f}"]
            rows[-1] += [f"{R * work.compute / update:.0f}×", f"{BILLION / speed / 3600:,.1f}"]
            rows[-1] += [str(blocks_needed(work, R, between, size=size)) for size in (1, 0.5)]
            rows[-1] += [f"{most_ranks(work, between):,}"]
    head = ["network", "workload", "ranks", "tokens an update", "ms", "communication", "tokens/s", "times"]
    head += ["hours for 10⁹ tokens", "blocks for 80 %", "with float16", "ranks at 50 %"]
    print(markdown(head, rows))


class RoundedLM(RecurrentLM):
    """A model whose gradients, multiplied by ``rounding_scale``, are rounded to float16; None: not rounded."""

    rounding_scale: float | None = None

    def backward(self, dout: float = 1.0) -> None:
        super().backward(dout)
        if self.rounding_scale is not None:
            for grad in self.grads:
                grad[...] = (grad * self.rounding_scale).astype(np.float16)
                grad /= self.rounding_scale


def print_float16(updates: int) -> None:
    """Print perplexities after training with gradients in float32 and in float16."""
    inputs = make_inputs(WITH_TEXTS["C"])
    ids, valid = inputs.ids[:-VALIDATION], inputs.ids[-VALIDATION:]
    V, N, T = len(np.unique(inputs.ids)), 20, 35
    print(f"{inputs.source}: {updates} updates on {N} × {T} words, LSTM of 100 units, Adam, lr 0.004\n")
    rows = []
    for label, scale, seed in (
        ("float32", None, 0),
        ("float32, another seed", None, 1),
        ("float16", 1.0, 0),
        ("float16, times 1,024", 1024.0, 0),
    ):
        model = RoundedLM(V, 100, 100, "lstm", rng=np.random.default_rng(seed))
        model.rounding_scale = scale
        trainer = RnnlmTrainer(model, OPTIMIZERS["adam"](lr=0.004))
        trainer.fit(ids[:-1], ids[1:], 10**9, N, T, 5.0, max_iterations=updates)
        rows.append([label, f"{evaluate(model, valid, batch_size=20).perplexity:.2f}"])
    print(markdown(["gradients", "validation perplexity"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--workloads", nargs="+", choices=list(ALL), default=None)
    parser.add_argument("--seconds", type=float, help="of each measurement (10, or 1.5 with --quick)")
    parser.add_argument("--rounds", type=int, default=1, help="of which the fastest counts, in turn")
    parser.add_argument("--quick", action="store_true", help="measure D and G only, and briefly")
    parser.add_argument("--cost-model", action="store_true", help="print what to expect of 8 to 512 ranks")
    parser.add_argument("--float16", action="store_true", help="measure the effect of float16 gradients")
    parser.add_argument("--updates", type=int, default=400, help="of --float16")
    parser.add_argument("--as-one-of", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.workloads or (QUICK if given.quick else ["C", "D", "E", "G", SAMPLED.name])
    seconds = given.seconds or (1.5 if given.quick else 10.0)
    if given.as_one_of is not None:
        ranks = ALONE if given.as_one_of == 1 else MeasuredRanks(int(os.environ["RANK"]), given.as_one_of)
        found = train(ALL[names[0]], seconds, ranks)
        print(json.dumps(found))
        ranks.together(lambda: None)
        ranks.leave()
    elif given.float16:
        print_float16(given.updates)
    elif given.cost_model and len(names) < 2:
        parser.error("--cost-model needs two workloads or more, to tell latency from bandwidth")
    elif given.cost_model:
        print_cost_model(names, seconds, given.rounds)
    else:
        compare(names, given.processes, seconds, given.rounds)


if __name__ == "__main__":
    main()
