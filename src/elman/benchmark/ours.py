"""The peer elman, through its public calls: `RnnlmTrainer.fit` and `target_log_probs`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.backend import NUMPY, Backend
from elman.benchmark.workloads import WORDS_A_STEP, Inputs, Peer, Workload
from elman.models.recurrent import RecurrentLM
from elman.training.optimizers import OPTIMIZERS
from elman.training.progress import BlockDone, Event
from elman.training.trainer import RnnlmTrainer

NO_LIMIT = 10**9  # epochs


def make_model(
    workload: Workload, weights: Mapping[str, NDArray[np.float32]], backend: Backend = NUMPY
) -> RecurrentLM:
    """Return the workload's model with a copy of these weights, as `elman train` would train it."""
    copied = {name: weight.copy() for name, weight in weights.items()}
    return RecurrentLM(
        workload.V, workload.D, workload.H, workload.cell, workload.layers, weights=copied, backend=backend
    )


class Training:
    """Training by `RnnlmTrainer.fit`; a step is a block."""

    def __init__(self, workload: Workload, ids: NDArray[np.int64], model: RecurrentLM) -> None:
        self.workload, self.ids = workload, ids
        self.trainer = RnnlmTrainer(model, OPTIMIZERS[workload.optimizer](lr=workload.lr))

    def run(self, steps: int) -> tuple[list[float], int]:
        """Train on this number of blocks; see `Peer`."""
        workload, losses = self.workload, []

        def watch(event: Event) -> None:
            if isinstance(event, BlockDone):
                losses.append(event.loss_nats)

        self.trainer.fit(
            self.ids[:-1],
            self.ids[1:],
            NO_LIMIT,
            workload.N,
            workload.T,
            workload.clip_norm,
            max_value=workload.clip_value,
            reduction=workload.reduction,
            wrap=workload.wrap,
            max_iterations=self.trainer.progress.iteration + steps,
            on_event=watch,
        )
        return losses, steps * workload.N * workload.T


class Words:
    """Scoring a stream word by word: the probability of each word, then the state after it."""

    def __init__(self, ids: NDArray[np.int64], model: RecurrentLM) -> None:
        self.model: Any = model
        self.ids, self.place = ids, 0
        self.state = model.start()

    def run(self, steps: int) -> tuple[list[float], int]:
        """Score WORDS_A_STEP words per step; see `Peer`."""
        losses = []
        for _ in range(steps):
            total = 0.0
            for id_ in self.ids[self.place : self.place + WORDS_A_STEP].tolist():
                log_prob, self.state = self.model.target_log_probs(np.array([[id_]]), self.state)
                total -= float(log_prob[0, 0])
            self.place = (self.place + WORDS_A_STEP) % (len(self.ids) - WORDS_A_STEP)
            losses.append(total / WORDS_A_STEP)
        return losses, steps * WORDS_A_STEP


def build(workload: Workload, inputs: Inputs) -> Peer:
    """Make the peer for a workload that trains, or scores word by word."""
    model = make_model(workload, inputs.weights)
    return Training(workload, inputs.ids, model) if workload.task == "train" else Words(inputs.ids, model)
