"""Small trainings of every kind of model, by one process or by several ranks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.testing import assert_allclose

from elman.arrays import to_numpy
from elman.layers.sampled import TimeSampledSoftmaxWithLoss
from elman.models.clusters import count_ids
from elman.models.recurrent import RecurrentLM, SimpleRnnlm
from elman.models.regularisation import Regularisation
from elman.models.window_models import CBOW, NPLM
from elman.training.averaging import Tail
from elman.training.optimizers import AdaGrad
from elman.training.ranks import Ranks
from elman.training.trainer import RnnlmTrainer
from support.tiny import ids_of_length, small_lm

V, N, T = 40, 5, 3
IDS = ids_of_length(400, V, seed=3)
VALID = ids_of_length(150, V, seed=4)
REGULARISED = Regularisation(
    dropout_mask="block",
    embedding_dropout=0.2,
    recurrent_dropout=0.3,
    activation_penalty=0.5,
    temporal_penalty=0.5,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def sampled(D: int = 4, **options: Any) -> RecurrentLM:
    model = small_lm(V, D, 5, **options)
    model.loss_layer = TimeSampledSoftmaxWithLoss(model.loss_layer, count_ids(IDS, V), 12, model.dropout_rng)
    return model


def window(kind: type[Any], **options: Any) -> Any:
    sizes = (V, 4) if kind is CBOW else (V, 4, 5)
    return kind(*sizes, rng=rng(), dtype=np.float64, weight_scale=0.5, embedding_scale=0.5, **options)


MODELS: dict[str, Callable[[], Any]] = {
    "rnn": partial(small_lm, V),
    "lstm": partial(small_lm, V, cell="lstm", layers=2, dropout=0.3),
    "gru": partial(small_lm, V, D=5, cell="gru", tie_weights=True, dropout=0.3),
    "one-hot": partial(small_lm, V, D=0, cell="gru"),
    "regularised": partial(small_lm, V, cell="lstm", dropout=0.2, regularisation=REGULARISED),
    "residual": partial(small_lm, V, cell="gru", layers=2, block="residual", mlp=6, dropout=0.2),
    "sampled": partial(sampled, cell="lstm", dropout=0.2),
    "sampled, tied": partial(sampled, D=5, tie_weights=True),
    "adaptive": partial(small_lm, V, cell="gru", adaptive=(5, 15), dropout=0.2),
    "cbow": partial(window, CBOW, window=4, dropout=0.2),
    "nplm": partial(window, NPLM, window=2),
    "textbook": lambda: SimpleRnnlm(V, 4, 5, rng(), dtype=np.float64),
}


class Trained:
    """A model after a few updates, and what its training reported."""

    def __init__(
        self,
        ranks: Ranks,
        make: Callable[[], Any] = MODELS["lstm"],
        optimizer: Callable[[], Any] = lambda: AdaGrad(0.1),
        ids: Any = IDS,
        **options: Any,
    ) -> None:
        trainer = RnnlmTrainer(make(), optimizer())
        trainer.ranks = ranks
        if options.pop("average", False):
            trainer.averaging = Tail(1.0)
        self.events: list[Any] = []
        how = {"max_grad": 0.3, "max_iterations": 12, "fresh_at": 7, **options}
        trainer.fit(ids[:-1], how.pop("targets", ids[1:]), 10, N, T, on_event=self.events.append, **how)
        self.trainer, self.weights = trainer, [np.array(to_numpy(p)) for p in trainer.model.params]
        self.losses = [each.loss_nats for each in self.events if hasattr(each, "loss_nats")]
        self.norms = [each.grad_norm for each in self.events if hasattr(each, "loss_nats")]
        self.valid = [each.valid_perplexity for each in self.events if hasattr(each, "valid_perplexity")]
        self.state = trainer.carried_state()


def assert_same(ours: Trained, theirs: Trained, rtol: float = 1e-10) -> None:
    assert_allclose(ours.losses, theirs.losses, rtol=rtol)
    assert_allclose(ours.norms, theirs.norms, rtol=rtol)
    for w, expected in zip(ours.weights, theirs.weights, strict=True):
        assert_allclose(w, expected, rtol=rtol, atol=rtol)
    if all(each is not None for each in theirs.valid):
        assert_allclose(ours.valid, theirs.valid, rtol=rtol)
    arrays, expected = ours.state.to_arrays(), theirs.state.to_arrays()
    for name in expected:
        assert_allclose(arrays[name], expected[name], rtol=rtol, atol=rtol)
