"""The trainer against the textbook's loop, and everything that can end or disturb a training."""

import copy
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, TextError, TrainingDiverged
from elman.evaluation.perplexity import evaluate
from elman.layers import TimeAffine, TimeEmbedding, TimeRNN, TimeSoftmaxWithLoss
from elman.models.rnnlm import RecurrentLM, SimpleRnnlm
from elman.training import trainer as trainer_module
from elman.training.optimizers import SGD, AdaGrad, Adam
from elman.training.progress import BlockDone, EpochDone, IntervalDone
from elman.training.schedules import Cosine, Plateau
from elman.training.trainer import RnnlmTrainer
from tiny import ids_of_length, small_lm

V, N, T = 9, 3, 4
CORPUS = ids_of_length(100, V)
XS, TS = CORPUS[:-1], CORPUS[1:]
BLOCKS = len(XS) // (N * T)  # of an epoch


def textbook(seed: int = 0) -> SimpleRnnlm:
    return SimpleRnnlm(V, 4, 5, rng=np.random.default_rng(seed), dtype=np.float64)


def fit(model: Any, optimizer: Any = None, xs: Any = XS, ts: Any = TS, **options: Any) -> RnnlmTrainer:
    """Train for two epochs unless told otherwise."""
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


# The textbook's loop


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


def test_the_perplexity_list_has_a_point_every_interval() -> None:
    losses = [loss for _, epoch in textbook_loop(textbook(), 3) for loss in epoch]
    assert len(losses) == 3 * BLOCKS == 24
    trainer = fit(textbook(), max_epoch=3, eval_interval=5)
    intervals = [losses[k : k + 5] for k in range(0, 20, 5)]
    assert_allclose(trainer.ppl_list, [np.exp(np.mean(interval)) for interval in intervals], rtol=1e-12)


def test_the_smooth_loss_begins_with_guessing() -> None:
    losses, events = losses_and_events(textbook())
    smooth = T * math.log(V)
    for event, loss in zip((e for e in events if isinstance(e, BlockDone)), losses, strict=True):
        smooth = 0.999 * smooth + 0.001 * loss * T
        assert event.smooth_loss == pytest.approx(smooth, rel=1e-12)


def test_a_value_limit_clips_every_entry() -> None:
    model = small_lm()
    before = copy.deepcopy(model.params)
    fit(model, SGD(1.0), max_value=1e-3, max_iterations=1)
    changes = [np.abs(p - q).max() for p, q in zip(model.params, before, strict=True)]
    assert max(changes) == pytest.approx(1e-3)


def test_the_norm_told_is_that_before_clipping() -> None:
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


def test_restart_sets_the_state_to_zero_at_the_front() -> None:
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


def test_cosine_follows_the_share_of_blocks_done() -> None:
    cosine = Cosine()
    assert rates(Cosine()) == [0.1 * cosine.factor(k / (3 * BLOCKS)) for k in range(3 * BLOCKS)]
    assert rates(Cosine(), max_iterations=5) == [0.1 * cosine.factor(k / 5) for k in range(5)]


def test_plateau_divides_after_an_epoch_without_gain() -> None:
    class NeverBetter(Plateau):
        def epoch_end(self, perplexity: float) -> None:
            super().epoch_end(7.0)

    expected = [0.1] * 2 * BLOCKS + [0.025] * BLOCKS + [0.1 / 16] * BLOCKS
    assert_allclose(rates(NeverBetter(), 4), expected, rtol=1e-12)


def test_the_optimizer_has_its_own_rate_again_afterwards() -> None:
    optimizer = SGD(0.1)
    fit(small_lm(), optimizer, schedule=Cosine())
    assert optimizer.lr == 0.1


def test_a_rate_that_the_user_changes_between_two_fits_counts() -> None:
    trainer = fit(small_lm(), max_epoch=1)
    trainer.optimizer.lr /= 4
    events: list[Any] = []
    trainer.fit(XS, TS, 2, N, T, on_event=events.append)
    assert [event.lr for event in events if isinstance(event, BlockDone)] == [0.025] * BLOCKS


# How a training ends


def test_ends_after_its_epochs() -> None:
    progress = fit(small_lm(), max_epoch=3).progress
    assert (progress.epoch, progress.iteration, progress.block_in_epoch) == (3, 3 * BLOCKS, 0)
    assert progress.position == 3 * BLOCKS * T


@pytest.mark.parametrize("limit", [1, BLOCKS, BLOCKS + 3])
def test_ends_after_so_many_blocks(limit: int) -> None:
    losses, events = losses_and_events(small_lm(), max_iterations=limit, max_epoch=50)
    assert len(losses) == limit
    epochs = [event for event in events if isinstance(event, EpochDone)]
    assert [event.epoch for event in epochs] == list(range(1, math.ceil(limit / BLOCKS) + 1))
    in_last = losses[(len(epochs) - 1) * BLOCKS :]
    assert epochs[-1].perplexity == pytest.approx(np.exp(np.mean(in_last)))


def test_a_limit_above_the_epochs_is_none() -> None:
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


def test_stop_ends_it_after_the_block_in_hand_and_another_fit_goes_on() -> None:
    whole, parts = small_lm(), small_lm()
    expected = fit(whole, AdaGrad(0.1), eval_interval=5, max_epoch=3)
    trainer = RnnlmTrainer(parts, AdaGrad(0.1))

    def stop_now_and_then(event: Any) -> None:
        if isinstance(event, BlockDone) and event.iteration in (1, 7, 8, 20):
            trainer.stop()

    ends = []
    while trainer.progress.epoch < 3:
        trainer.fit(XS, TS, 3, N, T, eval_interval=5, on_event=stop_now_and_then)
        ends.append(trainer.progress.iteration)
    assert ends == [1, 7, 8, 20, 24]
    assert_same_weights(parts, whole)
    assert trainer.ppl_list == expected.ppl_list


def test_a_stop_that_comes_before_the_first_block_is_not_lost() -> None:
    trainer = RnnlmTrainer(small_lm(), SGD(0.1))
    trainer.stop()
    trainer.fit(XS, TS, 1, N, T)
    assert trainer.progress.iteration == 0
    trainer.fit(XS, TS, 1, N, T)
    assert trainer.progress.epoch == 1


def test_a_finished_training_does_nothing_more() -> None:
    trainer = fit(small_lm())
    before = copy.deepcopy(trainer.model.params)
    trainer.fit(XS, TS, 2, N, T)
    for p, q in zip(trainer.model.params, before, strict=True):
        assert_array_equal(p, q)


# Events


def test_intervals_and_epochs_are_told_before_the_block_that_completed_them() -> None:
    _, events = losses_and_events(small_lm(), eval_interval=4, max_epoch=2)
    assert BLOCKS == 8
    I, E, B = IntervalDone, EpochDone, BlockDone  # noqa: E741
    epoch = [B, B, B, I, B, B, B, B, I, E, B]
    assert [type(event) for event in events] == epoch * 2
    iterations = [1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 8]
    assert [event.iteration for event in events] == iterations + [8 + k for k in iterations]
    assert [event.epoch for event in events] == [1] * 11 + [2] * 11
    assert all(event.tokens == N * T for event in events if isinstance(event, B))


def test_what_a_block_event_finds_in_the_trainer_is_all_that_going_on_needs() -> None:
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
        other.fit(XS, TS, 2, N, T)
        assert_same_weights(again, whole)


def test_an_error_of_the_watcher_comes_through() -> None:
    def broken(event: Any) -> None:
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        fit(small_lm(), on_event=broken)


# Validation


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


def test_a_long_validation_text_is_read_in_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes: list[int] = []

    def counted(model: Any, ids: Any, **options: Any) -> Any:
        lanes.append(options["lanes"])
        return evaluate(model, ids, **options)

    monkeypatch.setattr(trainer_module, "evaluate", counted)
    monkeypatch.setattr(trainer_module, "TOKENS_PER_VALIDATION_LANE", 20)
    for length in (10, 50, 99):
        fit(small_lm(), valid=CORPUS[:length], max_epoch=1)
    assert lanes == [1, 2, N]


def test_validating_does_not_disturb_the_training() -> None:
    with_valid, without = small_lm(dropout=0.3), small_lm(dropout=0.3)
    fit(with_valid, valid=CORPUS[:50])
    fit(without)
    assert_same_weights(with_valid, without)


class OwnModel:
    """A student's own model: no vocab_size, no grad_rows, none of the LanguageModel calls."""

    def __init__(self, share: bool = False) -> None:
        rng = np.random.default_rng(0)
        W = rng.standard_normal((V, 4))
        self.embed = TimeEmbedding(W)
        self.again = TimeEmbedding(W if share else W.copy())  # reads the lanes of the block in another order
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


def test_a_model_of_the_users_own_is_trained() -> None:
    model = OwnModel()
    trainer = fit(model, eval_interval=None, max_epoch=20)
    assert trainer.ppl_list[-1] < 0.8 * trainer.ppl_list[0]
    assert trainer.progress.smooth_loss is not None


def test_a_model_of_the_users_own_cannot_be_validated() -> None:
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
def test_what_is_no_number_is_an_error_with_the_numbers(poison: float, what: str) -> None:
    model = textbook()
    trainer = fit(model, max_iterations=3)
    model.params[1][0, 0] = poison
    before = copy.deepcopy(model.params)
    with pytest.raises(TrainingDiverged, match=f"iteration 4: {what}"):
        trainer.fit(XS, TS, 2, N, T)
    for p, q in zip(model.params, before, strict=True):
        assert_array_equal(p, q)
    assert trainer.progress.iteration == 3


def test_a_gradient_that_is_no_number_is_an_error_too() -> None:
    class Poisoned(OwnModel):
        def backward(self, dout: float = 1.0) -> None:
            super().backward(dout)
            self.grads[0][0, 0] = np.nan

    with pytest.raises(TrainingDiverged, match=r"iteration 1: .*gradient norm nan"):
        fit(Poisoned())


def test_an_explosion_is_an_error_that_says_what_to_try() -> None:
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
    assert "try a smaller learning rate, or clip the gradient's norm" in message
    for p, q in zip(model.params, kept, strict=True):
        assert_array_equal(p, q)  # as before the update that failed


def test_one_bad_block_among_good_ones_is_no_explosion() -> None:
    class Jumpy(OwnModel):
        blocks = 0

        def forward(self, xs: Any, ts: Any) -> float:
            self.blocks += 1
            return super().forward(xs, ts) + (20.0 if self.blocks == 5 else 0.0)

    assert fit(Jumpy(), SGD(0.01)).progress.epoch == 2


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "max"}, "'mean' or 'sum', got 'max'"),
        ({"max_grad": 0}, "max_grad must be above 0, or None; got 0"),
        ({"max_value": -1.0}, "max_value must be above 0, or None; got -1.0"),
        ({"eval_interval": 0}, "eval_interval must be above 0, or None; got 0"),
        ({"batch_size": 0}, "at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(small_lm(), **options)


def test_a_text_shorter_than_a_block_is_refused() -> None:
    with pytest.raises(TextError, match=r"6 tokens.* needs 13"):
        fit(small_lm(), xs=XS[:5], ts=TS[:5])


def test_the_plot_is_of_the_perplexity_list(monkeypatch: pytest.MonkeyPatch) -> None:
    import elman.plots

    trainer = fit(small_lm(), eval_interval=4)
    monkeypatch.setattr(elman.plots, "plot_perplexities", lambda values, path: (list(values), path))
    assert trainer.plot("curve.png") == (trainer.ppl_list, "curve.png")
    assert len(trainer.ppl_list) == 4
