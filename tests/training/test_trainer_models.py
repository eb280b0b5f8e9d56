"""Validation, user-defined models, and divergence."""

import copy
import itertools
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, TrainingDiverged
from elman.evaluation.perplexity import evaluate
from elman.training import trainer as trainer_module
from elman.training.optimizers import SGD
from elman.training.progress import EpochDone
from elman.training.trainer import RnnlmTrainer
from support.tiny import ids_of_length, small_lm
from support.trainers import (
    CORPUS,
    TS,
    XS,
    N,
    OwnModel,
    OwnModelWithRows,
    T,
    V,
    assert_same_weights,
    fit,
    textbook,
)


def test_validates_after_every_epoch_and_keeps_the_best() -> None:
    model, valid = small_lm(), ids_of_length(40, V, seed=5)
    seen: list[Any] = []

    def check(event: Any) -> None:
        if isinstance(event, EpochDone):
            assert event.valid_perplexity == evaluate(model, valid, eos=2).perplexity
            seen.append(event)

    trainer = RnnlmTrainer(model, SGD(0.5))
    trainer.fit(XS, TS, 6, N, T, valid=valid, eos=2, on_event=check)
    found = [event.valid_perplexity for event in seen]
    assert len(found) == 6
    best_so_far = [min(found[: k + 1]) for k in range(6)]
    assert [event.improved for event in seen] == [True] + [b < a for a, b in itertools.pairwise(best_so_far)]
    assert trainer.progress.best_perplexity == min(found)


def test_a_long_validation_text_is_read_in_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    batch_sizes: list[int] = []

    def counted(model: Any, ids: Any, **options: Any) -> Any:
        batch_sizes.append(options["batch_size"])
        return evaluate(model, ids, **options)

    monkeypatch.setattr(trainer_module, "evaluate", counted)
    monkeypatch.setattr(trainer_module, "TOKENS_PER_VALIDATION_SEQUENCE", 20)
    for length in (10, 50, 99):
        fit(small_lm(), valid=CORPUS[:length], max_epoch=1)
    assert batch_sizes == [1, 2, N]


def test_validating_does_not_disturb_the_training() -> None:
    with_valid, without = small_lm(dropout=0.3), small_lm(dropout=0.3)
    fit(with_valid, valid=CORPUS[:50])
    fit(without)
    assert_same_weights(with_valid, without)


def test_a_user_defined_model_can_be_trained() -> None:
    model = OwnModel()
    trainer = fit(model, eval_interval=None, max_epoch=20)
    assert trainer.ppl_list[-1] < 0.8 * trainer.ppl_list[0]
    assert trainer.progress.smooth_loss is not None


def test_a_user_defined_model_cannot_be_validated() -> None:
    with pytest.raises(ConfigError, match="needs a model that answers the LanguageModel calls"):
        fit(OwnModel(), valid=CORPUS)


@pytest.mark.parametrize("Model", [OwnModel, OwnModelWithRows])
def test_a_parameter_listed_twice_takes_one_step_along_both_gradients(Model: Any) -> None:
    ours, by_hand = Model(share=True), OwnModel(share=True)
    assert ours.params[0] is ours.params[1]
    for k in range(6):
        xs, ts = XS[5 * k : 5 * k + 8].reshape(2, 4), TS[5 * k : 5 * k + 8].reshape(2, 4)
        by_hand.forward(xs, ts)
        by_hand.backward()
        by_hand.embed.params[0][...] -= 0.1 * (by_hand.embed.grads[0] + by_hand.again.grads[0])
        for p, g in zip(by_hand.params[2:], by_hand.grads[2:], strict=True):
            p -= 0.1 * g
        # one block at a time, so that the two read alike
        trainer = RnnlmTrainer(ours, SGD(0.1))
        trainer.fit(xs.reshape(-1), ts.reshape(-1), 1, 2, 4)
        for p, q in zip(ours.params, by_hand.params, strict=True):
            assert_allclose(p, q, rtol=1e-12)


# Divergence


@pytest.mark.parametrize(
    ("poison", "what"),
    [
        (np.nan, r"the loss is not a number \(loss nan nats, gradient norm nan"),
        (
            np.inf,
            r"the gradient is not a number \(loss \d.*, gradient norm nan",
        ),  # tanh bears an infinite weight
    ],
)
def test_nan_loss_or_gradient_is_an_error_with_the_numbers(poison: float, what: str) -> None:
    model = textbook()
    trainer = fit(model, max_iterations=3)
    model.params[1][0, 0] = poison
    before = copy.deepcopy(model.params)
    with pytest.raises(TrainingDiverged, match=f"iteration 4: {what}"):
        trainer.fit(XS, TS, 2, N, T)
    for p, q in zip(model.params, before, strict=True):
        assert_array_equal(p, q)
    assert trainer.progress.iteration == 3


def test_a_nan_gradient_alone_is_an_error() -> None:
    class Poisoned(OwnModel):
        def backward(self, dout: float = 1.0) -> None:
            super().backward(dout)
            self.grads[0][0, 0] = np.nan

    with pytest.raises(TrainingDiverged, match=r"iteration 1: .*gradient norm nan"):
        fit(Poisoned())


def test_an_exploding_loss_is_an_error_that_says_what_to_try() -> None:
    model = textbook()
    kept: list[Any] = []

    def keep(event: Any) -> None:
        kept[:] = copy.deepcopy(model.params)

    trainer = RnnlmTrainer(model, SGD(1e4))
    with pytest.raises(TrainingDiverged) as caught:
        trainer.fit(XS, TS, 100, N, T, on_event=keep)
    message = str(caught.value)
    assert message.startswith(f"iteration {trainer.progress.iteration + 1}: the ")
    assert "exploded" in message or "not a number" in message
    assert "gradient norm" in message
    assert "learning rate 1e+04" in message
    assert "try a smaller learning rate, or a smaller norm to clip to" in message
    for p, q in zip(model.params, kept, strict=True):
        assert_array_equal(p, q)  # as before the update that failed


def test_one_bad_block_among_good_ones_is_not_an_explosion() -> None:
    class Jumpy(OwnModel):
        blocks = 0

        def forward(self, xs: Any, ts: Any) -> float:
            self.blocks += 1
            return super().forward(xs, ts) + (20.0 if self.blocks == 5 else 0.0)

    assert fit(Jumpy(), SGD(0.01)).progress.epoch == 2
