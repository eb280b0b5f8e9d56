"""elman through its public calls: `RnnlmTrainer.fit`, `score_line`, `target_log_probs`."""

from typing import Any

import numpy as np

from elman import RecurrentLM, RnnlmTrainer, SimpleRnnlm, Vocabulary, make_tokenizer
from elman.evaluation.scoring import score_line
from elman.models.text_model import TextModel
from elman.training.optimizers import OPTIMIZERS
from elman.training.progress import BlockDone, Event
from inputs import EOS, Inputs
from peers import LINES_A_STEP, WORDS_A_STEP, NotHere, Peer
from works import Work

FOREVER = 10**9  # epochs


def make_model(work: Work, inputs: Inputs) -> RecurrentLM:
    """Return the work's model: the textbook's class for the textbook's sizes."""
    weights = {name: weight.copy() for name, weight in inputs.weights.items()}
    if work.cell == "rnn" and work.D:
        model = SimpleRnnlm(work.V, work.D, work.H)
        for name, weight in weights.items():
            model.weights[name][...] = weight
        return model
    return RecurrentLM(work.V, work.D, work.H, work.cell, work.layers, weights=weights)


class Training:
    def __init__(self, work: Work, inputs: Inputs) -> None:
        self.work, self.ids = work, inputs.ids
        self.trainer = RnnlmTrainer(make_model(work, inputs), OPTIMIZERS[work.optimizer](lr=work.lr))

    def run(self, steps: int) -> tuple[list[float], int]:
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


class Lines:
    """Lines of text, as `elman score` scores them."""

    def __init__(self, work: Work, inputs: Inputs) -> None:
        vocabulary = Vocabulary(inputs.words, eos=EOS)
        self.text_model = TextModel(make_model(work, inputs), make_tokenizer("word"), vocabulary)
        self.lines, self.place = inputs.lines, 0

    def run(self, steps: int) -> tuple[list[float], int]:
        losses, tokens = [], 0
        for _ in range(steps):
            chunk = self.lines[self.place : self.place + LINES_A_STEP]
            self.place = (self.place + LINES_A_STEP) % len(self.lines)
            scores = [score_line(self.text_model, line) for line in chunk]
            counted = sum(score.tokens for score in scores)
            losses.append(sum(score.nll_nats for score in scores) / counted)
            tokens += counted
        return losses, tokens


class Words:
    """A stream: the probability of each word, given at once, and the state after it."""

    def __init__(self, work: Work, inputs: Inputs) -> None:
        self.model: Any = make_model(work, inputs)
        self.ids, self.place = inputs.ids, 0
        self.state = self.model.start()

    def run(self, steps: int) -> tuple[list[float], int]:
        losses = []
        for _ in range(steps):
            total = 0.0
            for id_ in self.ids[self.place : self.place + WORDS_A_STEP].tolist():
                log_prob, self.state = self.model.target_log_probs(np.array([[id_]]), self.state)
                total -= float(log_prob[0, 0])
            self.place = (self.place + WORDS_A_STEP) % (len(self.ids) - WORDS_A_STEP)
            losses.append(total / WORDS_A_STEP)
        return losses, steps * WORDS_A_STEP


def build(work: Work, inputs: Inputs, variant: str) -> Peer:
    if variant == "bf16":
        raise NotHere("elman has no bf16 products yet")
    return {"train": Training, "lines": Lines, "words": Words}[work.task](work, inputs)
