"""How training scales with processes: tokens per second, bytes per update, and the fraction of time in communication.

``python benchmarks/distributed.py --processes 2 --workloads C D E G sampled``. Each process has one thread and the
workload's N sequences, so a minibatch grows with the processes (weak scaling). Beside them: one process of one thread
on N sequences, and one process of as many threads. Text and weights are random; losses do not matter here. Needs the
extra `distributed`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from elman.benchmark.workloads import WORKLOADS, Workload
from elman.layers.sampled import TimeSampledSoftmaxWithLoss
from elman.models.clusters import count_ids
from elman.models.recurrent import RecurrentLM
from elman.training.optimizers import OPTIMIZERS
from elman.training.process_group import ProcessRanks
from elman.training.progress import BlockDone
from elman.training.ranks import ALONE, Ranks
from elman.training.trainer import RnnlmTrainer

SAMPLED = Workload(
    "sampled", "word LSTM, sampled softmax: V 100,000, 200, N 20, T 35, 4,000 candidates", 100_000, 200, 200, 20, 35
)  # fmt: skip
CANDIDATES = 4000
WARM_UP = 3  # updates
TEXT = 200_000  # tokens


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

    def sum(self, array: Any) -> Callable[[], None]:
        receive = self._measured(lambda: super(MeasuredRanks, self).sum(array), array.nbytes)
        return lambda: self._measured(receive)

    def _reduced(self, numbers: tuple[float, ...], operation: Any) -> list[float]:
        call = super()._reduced
        return self._measured(lambda: call(numbers, operation), 8 * len(numbers))  # type: ignore[no-any-return]

    def mark(self, marks: Any) -> None:
        self._measured(lambda: super(MeasuredRanks, self).mark(marks), marks.nbytes)


def train(workload: Workload, seconds: float, ranks: Ranks) -> dict[str, float]:
    """Train for about so many seconds; return the measurements of this rank."""
    rng = np.random.default_rng(0)
    ids = np.minimum(rng.zipf(1.2, TEXT), workload.V) - 1  # frequent words are frequent, as in a text
    model = RecurrentLM(workload.V, workload.D, workload.H, workload.cell, workload.layers, rng=rng)
    if workload.name == "sampled":
        counts = count_ids(ids, workload.V)
        model.loss_layer = TimeSampledSoftmaxWithLoss(model.loss_layer, counts, CANDIDATES, rng)
    trainer = RnnlmTrainer(model, OPTIMIZERS[workload.optimizer](lr=1e-3))
    trainer.ranks = ranks
    start: list[tuple[float, float, int, int]] = []
    end = 0.0

    def watch(event: Any) -> None:
        nonlocal end
        if not isinstance(event, BlockDone):
            return
        if event.iteration == WARM_UP:
            marks = (getattr(ranks, name, 0) for name in ("waited", "bytes", "messages"))
            start.append((event.seconds, *marks))
        elif event.iteration > WARM_UP and event.seconds - start[0][0] >= seconds:
            trainer.stop()
        end = event.seconds

    N, T = workload.N * ranks.size, workload.T
    trainer.fit(ids[:-1], ids[1:], 10**9, N, T, workload.clip_norm, on_event=watch)
    updates = trainer.progress.iteration - WARM_UP
    elapsed, waited, sent, messages = (
        now - before
        for now, before in zip(
            (end, *(getattr(ranks, name, 0) for name in ("waited", "bytes", "messages"))),
            start[0],
            strict=True,
        )
    )
    return {
        "tokens_per_second": updates * N * T / elapsed,
        "waiting": waited / elapsed,
        "bytes": sent / updates,
        "messages": messages / updates,
    }


def measured(workload: str, seconds: float, processes: int, threads: int) -> dict[str, float]:
    """Return the measurements of rank 0 of so many processes, each of so many threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    if processes > 1:
        from torch.distributed import TCPStore

        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
        environment |= {"TORCHELASTIC_USE_AGENT_STORE": "True"}
    words = [sys.executable, __file__, "--workloads", workload, "--seconds", str(seconds), "--as-one-of"]
    ranks = [
        subprocess.Popen(
            [*words, str(processes)], env=environment | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True
        )
        for rank in range(processes)
    ]
    outputs = [rank.communicate()[0] for rank in ranks]
    if any(rank.returncode for rank in ranks):
        sys.exit("a process has failed; its message is above")
    found: dict[str, float] = json.loads(outputs[0])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--workloads", nargs="+", default=["C", "D", "E", "G", "sampled"])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--as-one-of", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    workloads = WORKLOADS | {"sampled": SAMPLED}
    if given.as_one_of is not None:
        ranks = ALONE if given.as_one_of == 1 else MeasuredRanks(int(os.environ["RANK"]), given.as_one_of)
        found = train(workloads[given.workloads[0]], given.seconds, ranks)
        print(json.dumps(found))
        ranks.together(lambda: None)
        ranks.leave()
        return
    R = given.processes
    print(
        f"| workload | 1 process | {R} threads | {R} processes | times | waiting | MB an update | messages |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in given.workloads:
        one, threads, many = (
            measured(name, given.seconds, processes, count) for processes, count in ((1, 1), (1, R), (R, 1))
        )
        speeds = [each["tokens_per_second"] for each in (one, threads, many)]
        print(
            f"| {name} | "
            + " | ".join(f"{speed:,.0f}" for speed in speeds)
            + f" | {speeds[2] / speeds[0]:.2f} | "
            f"{many['waiting']:.1%} | {many['bytes'] / 1e6:.2f} | {many['messages']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
