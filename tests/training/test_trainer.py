"""The trainer against the textbook's loop; learning rates; invalid arguments."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from elman.errors import ConfigError, TextError
from elman.models.recurrent import RecurrentLM
from elman.training.optimizers import SGD
from elman.training.progress import BlockDone
from elman.training.schedules import Cosine, Plateau
from elman.training.trainer import RnnlmTrainer
from support.tiny import small_lm
from support.trainers import (
    BLOCKS,
    TS,
    XS,
    N,
    T,
    V,
    assert_same_weights,
    fit,
    losses_and_events,
    textbook,
)


def textbook_loop(
    model: Any, max_epoch: int, max_grad: float | None = None, lr: float = 0.1
) -> Iterator[tuple[float, Any]]:
    """Yield the perplexity of each epoch, and the loss of each of its blocks."""
    jump, time_idx = len(XS) // N, 0
    for _ in range(max_epoch):
        total, losses = 0.0, []
        for _ in range(len(XS) // (N * T)):
            xs, ts = np.empty((N, T), int), np.empty((N, T), int)
            for t in range(T):
                for i in range(N):
                    where = (i * jump + time_idx) % len(XS)
                    xs[i, t], ts[i, t] = XS[where], TS[where]
                time_idx += 1
            loss = model.forward(xs, ts)
            model.backward()
            if max_grad is not None:
                norm = np.sqrt(sum(np.sum(g**2) for g in model.grads))
                rate = max_grad / (norm + 1e-6)
                if rate < 1:
                    for g in model.grads:
                        g *= rate
            for p, g in zip(model.params, model.grads, strict=True):
                p -= lr * g
            total += loss
            losses.append(loss)
        yield np.exp(total / len(losses)), losses


def test_is_the_textbooks_loop() -> None:
    by_hand, ours = textbook(), textbook()
    expected = [perplexity for perplexity, _ in textbook_loop(by_hand, 5)]
    trainer = fit(ours, max_epoch=5, eval_interval=None)
    assert trainer.ppl_list == expected
    assert_same_weights(ours, by_hand)


def test_clips_as_the_textbook_does() -> None:
    by_hand, ours = textbook(), textbook()
    expected = [perplexity for perplexity, _ in textbook_loop(by_hand, 3, max_grad=0.25)]
    trainer = fit(ours, max_epoch=3, eval_interval=None, max_grad=0.25)
    assert_allclose(trainer.ppl_list, expected, rtol=1e-12)
    for p, q in zip(ours.params, by_hand.params, strict=True):
        assert_allclose(p, q, rtol=1e-9)


def test_ppl_list_has_one_entry_per_interval() -> None:
    losses = [loss for _, epoch in textbook_loop(textbook(), 3) for loss in epoch]
    assert len(losses) == 3 * BLOCKS == 24
    trainer = fit(textbook(), max_epoch=3, eval_interval=5)
    intervals = [losses[k : k + 5] for k in range(0, 20, 5)]
    assert_allclose(trainer.ppl_list, [np.exp(np.mean(interval)) for interval in intervals], rtol=1e-12)


def test_smooth_loss_starts_at_the_loss_of_guessing() -> None:
    losses, events = losses_and_events(textbook())
    smooth = T * math.log(V)
    for event, loss in zip((e for e in events if isinstance(e, BlockDone)), losses, strict=True):
        smooth = 0.999 * smooth + 0.001 * loss * T
        assert event.smooth_loss == pytest.approx(smooth, rel=1e-12)


def test_max_value_clips_every_entry() -> None:
    model = small_lm()
    before = copy.deepcopy(model.params)
    fit(model, SGD(1.0), max_value=1e-3, max_iterations=1)
    changes = [np.abs(p - q).max() for p, q in zip(model.params, before, strict=True)]
    assert max(changes) == pytest.approx(1e-3)


def test_the_reported_norm_is_before_clipping() -> None:
    free = [e for e in losses_and_events(small_lm(), max_iterations=1)[1] if isinstance(e, BlockDone)]
    clipped = [
        e
        for e in losses_and_events(small_lm(), max_iterations=1, max_grad=1e-3)[1]
        if isinstance(e, BlockDone)
    ]
    assert clipped[0].grad_norm == free[0].grad_norm > 1e-3


def test_the_sum_has_the_gradient_of_the_mean_times_the_tokens() -> None:
    mean, total = small_lm(), small_lm()
    fit(mean, SGD(0.1 * N * T), max_iterations=3)
    fit(total, SGD(0.1), max_iterations=3, reduction="sum")
    for p, q in zip(mean.params, total.params, strict=True):
        assert_allclose(p, q, rtol=1e-9)


def test_restart_sets_the_state_to_zero_at_the_beginning() -> None:
    model = small_lm()
    resets: list[int] = []
    trainer = RnnlmTrainer(model, SGD(0.1))
    forget = model.reset_state
    model.reset_state = lambda: (resets.append(trainer.progress.iteration), forget())[1]  # type: ignore[method-assign]
    trainer.fit(XS[:14], TS[:14], 3, 1, T, wrap="restart")  # 3 blocks a reading
    assert resets == [3, 6]
    assert trainer.progress.epoch == 3


# Learning rates


def rates(schedule: Any, max_epoch: int = 3, **options: Any) -> list[float]:
    _, events = losses_and_events(small_lm(), schedule=schedule, max_epoch=max_epoch, **options)
    return [event.lr for event in events if isinstance(event, BlockDone)]


def test_the_rate_is_constant_unless_scheduled() -> None:
    assert rates(None) == [0.1] * 3 * BLOCKS


def test_cosine_follows_the_fraction_of_blocks_done() -> None:
    cosine = Cosine()
    assert rates(Cosine()) == [0.1 * cosine.factor(k / (3 * BLOCKS)) for k in range(3 * BLOCKS)]
    assert rates(Cosine(), max_iterations=5) == [0.1 * cosine.factor(k / 5) for k in range(5)]


def test_plateau_divides_after_an_epoch_without_gain() -> None:
    class NeverBetter(Plateau):
        def epoch_end(self, perplexity: float) -> None:
            super().epoch_end(7.0)

    expected = [0.1] * 2 * BLOCKS + [0.025] * BLOCKS + [0.1 / 16] * BLOCKS
    assert_allclose(rates(NeverBetter(), 4), expected, rtol=1e-12)


def test_the_learning_rate_is_restored_afterwards() -> None:
    optimizer = SGD(0.1)
    fit(small_lm(), optimizer, schedule=Cosine())
    assert optimizer.lr == 0.1


def test_a_learning_rate_changed_between_two_fits_is_used() -> None:
    trainer = fit(small_lm(), max_epoch=1)
    trainer.optimizer.lr /= 4
    events: list[Any] = []
    trainer.fit(XS, TS, 1, N, T, on_event=events.append)
    assert [event.lr for event in events if isinstance(event, BlockDone)] == [0.025] * BLOCKS


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "max"}, "'mean' or 'sum', got 'max'"),
        ({"max_grad": 0}, "max_grad must be above 0, or None; got 0"),
        ({"max_value": -1.0}, "max_value must be above 0, or None; got -1.0"),
        ({"eval_interval": 0}, "eval_interval must be above 0, or None; got 0"),
        ({"batch_size": 0}, "≥ 1"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(small_lm(), **options)


def test_a_text_shorter_than_a_block_is_refused() -> None:
    with pytest.raises(TextError, match=r"6 tokens.* needs 13"):
        fit(small_lm(), xs=XS[:5], ts=TS[:5])


def test_the_plot_is_of_the_perplexity_list(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = fit(small_lm(), eval_interval=4)
    monkeypatch.setattr("elman.training.trainer.plot_perplexities", lambda values, path: (list(values), path))
    assert trainer.plot("curve.png") == (trainer.ppl_list, "curve.png")
    assert len(trainer.ppl_list) == 4


# Fresh starts


def test_a_sequence_whose_block_begins_with_an_end_of_line_starts_from_zeros() -> None:
    """Two sequences of two steps: sequence 1's second block begins with id 7, sequence 0's does not."""
    corpus = np.array([1, 2, 3, 4, 5, 6, 7, 8, 0])
    starts: list[Any] = []

    class Watched(RecurrentLM):
        def forward(self, xs: Any, ts: Any) -> float:
            carried = self.carried_state()
            starts.append((xs[:, 0].tolist(), None if carried is None else carried.h[0].any(axis=1).tolist()))
            return super().forward(xs, ts)

    model = Watched(9, 3, 4, "gru", rng=np.random.default_rng(0))
    RnnlmTrainer(model, SGD(0.1)).fit(corpus[:-1], corpus[1:], 1, 2, 2, fresh_at=7)
    assert starts == [([1, 5], None), ([3, 7], [True, False])]


def test_without_fresh_starts_every_state_is_carried_on() -> None:
    whole, other = small_lm(), small_lm()
    fit(whole)
    fit(other, fresh_at=V + 5)  # an id that does not occur
    assert_same_weights(whole, other)
