"""Trainings of a few blocks on one small text, and a user-defined model."""

from typing import Any

import numpy as np
from numpy.testing import assert_array_equal

from elman.layers import TimeAffine, TimeEmbedding, TimeRNN, TimeSoftmaxWithLoss
from elman.models.recurrent import SimpleRnnlm
from elman.training.optimizers import SGD
from elman.training.progress import BlockDone
from elman.training.trainer import RnnlmTrainer
from support.tiny import ids_of_length

V, N, T = 9, 3, 4
CORPUS = ids_of_length(100, V)
XS, TS = CORPUS[:-1], CORPUS[1:]
BLOCKS = len(XS) // (N * T)  # of an epoch


def textbook(seed: int = 0) -> SimpleRnnlm:
    return SimpleRnnlm(V, 4, 5, rng=np.random.default_rng(seed), dtype=np.float64)


def fit(model: Any, optimizer: Any = None, xs: Any = XS, ts: Any = TS, **options: Any) -> RnnlmTrainer:
    """Train, for two epochs unless given otherwise."""
    trainer = RnnlmTrainer(model, optimizer or SGD(0.1))
    trainer.fit(xs, ts, **{"max_epoch": 2, "batch_size": N, "time_size": T, **options})
    return trainer


def losses_and_events(model: Any, **options: Any) -> tuple[list[float], list[Any]]:
    events: list[Any] = []
    fit(model, on_event=events.append, **options)
    return [event.loss_nats for event in events if isinstance(event, BlockDone)], events


def assert_same_weights(a: Any, b: Any) -> None:
    for p, q in zip(a.params, b.params, strict=True):
        assert_array_equal(p, q)


class OwnModel:
    """A user-defined model: no vocab_size, no grad_rows, none of the LanguageModel calls."""

    def __init__(self, share: bool = False) -> None:
        rng = np.random.default_rng(0)
        W = rng.standard_normal((V, 4))
        self.embed = TimeEmbedding(W)
        self.again = TimeEmbedding(
            W if share else W.copy()
        )  # reads the sequences of the block in another order
        self.rnn = TimeRNN(
            rng.standard_normal((4, 5)) / 2, rng.standard_normal((5, 5)) / 2, np.zeros(5), True
        )
        self.affine = TimeAffine(rng.standard_normal((5, V)), np.zeros(V))
        self.loss = TimeSoftmaxWithLoss()
        layers = (self.embed, self.again, self.rnn, self.affine)
        self.params = [p for layer in layers for p in layer.params]
        self.grads = [g for layer in layers for g in layer.grads]

    def forward(self, xs: Any, ts: Any) -> float:
        both = self.embed.forward(xs) + self.again.forward(xs[::-1])
        return self.loss.forward(self.affine.forward(self.rnn.forward(both)), ts)

    def backward(self, dout: float = 1.0) -> None:
        dxs = self.rnn.backward(self.affine.backward(self.loss.backward(dout)))
        self.embed.backward(dxs)
        self.again.backward(dxs)

    def reset_state(self) -> None:
        self.rnn.reset_state()


class OwnModelWithRows(OwnModel):
    @property
    def grad_rows(self) -> list[Any]:
        return [self.embed.rows, self.again.rows, *[None] * (len(self.params) - 2)]
