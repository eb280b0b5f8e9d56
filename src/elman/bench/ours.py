"""elman through its public calls: `RnnlmTrainer.fit`, `target_log_probs`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.backend import NUMPY, Backend
from elman.bench.workloads import WORDS_A_STEP, Inputs, Peer, Work
from elman.models.recurrent import RecurrentLM
from elman.training.optimizers import OPTIMIZERS
from elman.training.progress import BlockDone, Event
from elman.training.trainer import RnnlmTrainer

FOREVER = 10**9  # epochs


def make_model(
    work: Work, weights: Mapping[str, NDArray[np.float32]], backend: Backend = NUMPY
) -> RecurrentLM:
    """Return the work's model with a copy of these weights: what `elman train` trains."""
    copied = {name: weight.copy() for name, weight in weights.items()}
    return RecurrentLM(work.V, work.D, work.H, work.cell, work.layers, weights=copied, backend=backend)


class Training:
    """Training by `RnnlmTrainer.fit`; a step is a block."""

    def __init__(self, work: Work, ids: NDArray[np.int64], model: RecurrentLM) -> None:
        self.work, self.ids = work, ids
        self.trainer = RnnlmTrainer(model, OPTIMIZERS[work.optimizer](lr=work.lr))

    def run(self, steps: int) -> tuple[list[float], int]:
        """Train on so many blocks; see `Peer`."""
        work, losses = self.work, []

        def watch(event: Event) -> None:
            if isinstance(event, BlockDone):
                losses.append(event.loss_nats)

        self.trainer.fit(
            self.ids[:-1],
            self.ids[1:],
            FOREVER,
            work.N,
            work.T,
            work.clip_norm,
            max_value=work.clip_value,
            reduction=work.reduction,
            wrap=work.wrap,
            max_iterations=self.trainer.progress.iteration + steps,
            on_event=watch,
        )
        return losses, steps * work.N * work.T


class Words:
    """A stream: the probability of each word, given at once, and the state after it."""

    def __init__(self, ids: NDArray[np.int64], model: RecurrentLM) -> None:
        self.model: Any = model
        self.ids, self.place = ids, 0
        self.state = model.start()

    def run(self, steps: int) -> tuple[list[float], int]:
        """Score so many times WORDS_A_STEP words; see `Peer`."""
        losses = []
        for _ in range(steps):
            total = 0.0
            for id_ in self.ids[self.place : self.place + WORDS_A_STEP].tolist():
                log_prob, self.state = self.model.target_log_probs(np.array([[id_]]), self.state)
                total -= float(log_prob[0, 0])
            self.place = (self.place + WORDS_A_STEP) % (len(self.ids) - WORDS_A_STEP)
            losses.append(total / WORDS_A_STEP)
        return losses, steps * WORDS_A_STEP


def build(work: Work, inputs: Inputs) -> Peer:
    """Make the peer of a work that trains, or scores a word at a time."""
    model = make_model(work, inputs.weights)
    return Training(work, inputs.ids, model) if work.task == "train" else Words(inputs.ids, model)
