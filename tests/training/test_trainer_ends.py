"""How a training ends, how it continues, and which events it reports."""

import copy
import itertools
import math
from typing import Any

import numpy as np
import pytest

from elman.evaluation.perplexity import evaluate
from elman.models.recurrent import RecurrentLM
from elman.training import trainer as trainer_module
from elman.training.optimizers import SGD, AdaGrad, Adam
from elman.training.progress import BlockDone, EpochDone, IntervalDone
from elman.training.trainer import RnnlmTrainer
from support.tiny import small_lm
from support.trainers import (
    BLOCKS,
    CORPUS,
    TS,
    XS,
    N,
    T,
    V,
    assert_same_weights,
    fit,
    losses_and_events,
)


def test_ends_after_its_epochs() -> None:
    progress = fit(small_lm(), max_epoch=3).progress
    assert (progress.epoch, progress.iteration, progress.block_in_epoch) == (3, 3 * BLOCKS, 0)
    assert progress.position == 3 * BLOCKS * T


@pytest.mark.parametrize("limit", [1, BLOCKS, BLOCKS + 3])
def test_max_iterations_ends_it(limit: int) -> None:
    losses, events = losses_and_events(small_lm(), max_iterations=limit, max_epoch=50)
    assert len(losses) == limit
    epochs = [event for event in events if isinstance(event, EpochDone)]
    assert [event.epoch for event in epochs] == list(range(1, math.ceil(limit / BLOCKS) + 1))
    in_last = losses[(len(epochs) - 1) * BLOCKS :]
    assert epochs[-1].perplexity == pytest.approx(np.exp(np.mean(in_last)))


def test_max_iterations_above_the_epochs_has_no_effect() -> None:
    assert fit(small_lm(), max_iterations=1000).progress.iteration == 2 * BLOCKS


def test_a_time_budget_ends_it_in_the_middle_of_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()  # every look at it takes a second
    monkeypatch.setattr(trainer_module.time, "perf_counter", lambda: float(next(clock)))
    events: list[Any] = []
    trainer = RnnlmTrainer(small_lm(), SGD(0.1))
    trainer.fit(XS, TS, 1000, N, T, time_budget=5, on_event=events.append)
    assert trainer.progress.iteration == 5
    assert isinstance(events[-2], EpochDone)
    assert events[-2].epoch == 1
    trainer.fit(XS, TS, 1000, N, T, time_budget=5, on_event=events.append)
    assert trainer.progress.iteration == 5  # the time is used up
    trainer.fit(XS, TS, 1000, N, T, time_budget=8)
    assert trainer.progress.iteration > 5


def test_a_real_time_budget_ends_it() -> None:
    progress = fit(small_lm(), max_epoch=10**9, time_budget=0.05).progress
    assert progress.seconds >= 0.05
    assert 0 < progress.iteration < 10**9


def test_patience_ends_it_after_epochs_without_gain() -> None:
    model = small_lm()
    trainer = RnnlmTrainer(model, SGD(1e-30))  # nothing is learnt: the same perplexity for ever
    valid = CORPUS[:30]
    trainer.fit(XS, TS, 50, N, T, valid=valid, patience=3)
    assert trainer.progress.epoch == 4
    trainer.fit(XS, TS, 50, N, T, valid=valid, patience=3)
    assert trainer.progress.iteration == 4 * BLOCKS  # it is still at its end
    trainer.fit(XS, TS, 50, N, T, valid=valid, patience=5)
    assert trainer.progress.epoch == 6


def test_a_gain_renews_patience() -> None:
    measured = iter([9.0, 9.5, 8.0, 8.5, 8.0, 9.0])

    class Scripted(RnnlmTrainer):
        def _finish_epoch(self, *arguments: Any) -> Any:
            progress = self.progress
            progress.epoch_nll = math.log(next(measured)) * progress.block_in_epoch
            return super()._finish_epoch(*arguments)

    trainer = Scripted(small_lm(), SGD(0.1))
    gains: list[bool] = []
    trainer.fit(
        XS,
        TS,
        50,
        N,
        T,
        patience=3,
        on_event=lambda e: gains.append(e.improved) if isinstance(e, EpochDone) else None,
    )
    assert gains == [True, False, True, False, False, False]
    assert trainer.progress.best_perplexity == pytest.approx(8)


def test_stop_ends_it_after_the_current_block_and_another_fit_continues() -> None:
    whole, parts = small_lm(), small_lm()
    expected = fit(whole, AdaGrad(0.1), eval_interval=5, max_epoch=3)
    trainer = RnnlmTrainer(parts, AdaGrad(0.1))

    def stop_now_and_then(event: Any) -> None:
        if isinstance(event, BlockDone) and event.iteration in (1, 7, 8, 20):
            trainer.stop()

    ends = []
    while trainer.progress.epoch < 3:
        left = 3 - trainer.progress.epoch
        trainer.fit(XS, TS, left, N, T, eval_interval=5, on_event=stop_now_and_then)
        ends.append(trainer.progress.iteration)
    assert ends == [1, 7, 8, 20, 24]
    assert_same_weights(parts, whole)
    assert trainer.ppl_list == expected.ppl_list


def test_a_stop_before_the_first_block_is_not_lost() -> None:
    trainer = RnnlmTrainer(small_lm(), SGD(0.1))
    trainer.stop()
    trainer.fit(XS, TS, 1, N, T)
    assert trainer.progress.iteration == 0
    trainer.fit(XS, TS, 1, N, T)
    assert trainer.progress.epoch == 1


def test_epochs_of_several_fits_add_up_as_in_the_textbooks_loop() -> None:
    whole, looped = small_lm(), small_lm()
    expected = fit(whole, max_epoch=3, eval_interval=None)
    trainer = RnnlmTrainer(looped, SGD(0.1))
    for _ in range(3):
        trainer.fit(XS, TS, 1, N, T, eval_interval=None)
    assert trainer.ppl_list == expected.ppl_list
    assert_same_weights(looped, whole)


# Events


def test_intervals_and_epochs_are_reported_before_the_block_that_completed_them() -> None:
    _, events = losses_and_events(small_lm(), eval_interval=4, max_epoch=2)
    assert BLOCKS == 8
    I, E, B = IntervalDone, EpochDone, BlockDone  # noqa: E741
    epoch = [B, B, B, I, B, B, B, B, I, E, B]
    assert [type(event) for event in events] == epoch * 2
    iterations = [1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 8]
    assert [event.iteration for event in events] == iterations + [8 + k for k in iterations]
    assert [event.epoch for event in events] == [1] * 11 + [2] * 11
    assert all(event.tokens == N * T for event in events if isinstance(event, B))


def test_the_trainer_at_a_block_event_is_enough_to_resume() -> None:
    whole = small_lm()
    fit(whole, Adam(0.01))
    snapshots = []

    model = small_lm()
    trainer = RnnlmTrainer(model, Adam(0.01))

    def keep(event: Any) -> None:
        if isinstance(event, BlockDone):
            state = trainer.optimizer, trainer.progress, model.weights, model.carried_state()
            snapshots.append(copy.deepcopy(state))

    trainer.fit(XS, TS, 2, N, T, on_event=keep)
    for k in (0, BLOCKS - 1, BLOCKS, 2 * BLOCKS - 1):
        optimizer, progress, weights, carried = snapshots[k]
        again = RecurrentLM(V, 4, 5, weights=weights)
        again.carry(carried)
        other = RnnlmTrainer(again, optimizer)
        other.progress = progress
        other.fit(XS, TS, 2 - progress.epoch, N, T)
        assert_same_weights(again, whole)


def test_an_exception_in_on_event_is_raised() -> None:
    def broken(event: Any) -> None:
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        fit(small_lm(), on_event=broken)


def test_the_last_validation_is_within_the_time_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def evaluation(*args: Any, **options: Any) -> Any:
        nonlocal now
        now += 10 * len(args[1]) / len(CORPUS)  # ten seconds for the whole text
        return evaluate(*args, **options)

    def block_done(event: Any) -> None:
        nonlocal now
        now += isinstance(event, BlockDone)

    monkeypatch.setattr(trainer_module.time, "perf_counter", lambda: now)
    monkeypatch.setattr(trainer_module, "evaluate", evaluation)
    trainer = RnnlmTrainer(small_lm(), SGD(0.1))
    lengths = {"batch_size": N, "time_size": len(XS) // N}  # an epoch a block
    trainer.fit(XS, TS, 1000, **lengths, time_budget=47.0, valid=CORPUS, on_event=block_done)
    assert trainer.progress.iteration == 4  # of 11 seconds; a fifth would not have left 10 for its validation
    assert trainer.progress.seconds == 47.0  # what was set aside counts as used
    trainer.fit(XS, TS, 1000, **lengths, time_budget=47.0, valid=CORPUS, on_event=block_done)
    assert trainer.progress.iteration == 4
