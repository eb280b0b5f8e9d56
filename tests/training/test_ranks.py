"""Several ranks train like one process on the same minibatch: weights, losses, validation, state."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, TextError
from elman.training.batches import Minibatches
from elman.training.optimizers import SGD, Adam, Momentum, RMSProp
from elman.training.ranks import ALONE, Ranks, division, first_difference, rows_of
from elman.training.schedules import Plateau
from elman.training.step import TrainingStep
from elman.training.summed_step import SummedStep
from elman.training.trainer import RnnlmTrainer
from support.ranks import on_ranks
from support.tiny import small_lm
from support.trained import IDS, MODELS, VALID, N, T, Trained, V, assert_same, sampled


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("name", MODELS)
def test_ranks_train_like_one_process(name: str, size: int) -> None:
    alone = Trained(ALONE, MODELS[name])
    ranks = on_ranks(size, lambda ranks: Trained(ranks, MODELS[name]))
    for each in ranks:
        assert_same(each, alone)
        for ours, first in zip(each.weights, ranks[0].weights, strict=True):
            assert_array_equal(ours, first)  # to the last bit


def test_in_single_precision() -> None:
    options: dict[str, Any] = {"make": partial(small_lm, V, cell="lstm", dropout=0.2, dtype=np.float32)}
    alone = Trained(ALONE, **options)
    for each in on_ranks(2, lambda ranks: Trained(ranks, **options)):
        assert_same(each, alone, rtol=1e-4)


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(SGD, 0.3, weight_decay=0.1),
        partial(Momentum, 0.1),
        partial(RMSProp, 0.01),
        partial(Adam, 0.01),
    ],
)
def test_with_every_optimizer(optimizer: Callable[[], Any]) -> None:
    options: dict[str, Any] = {"reduction": "sum", "max_value": 0.2, "optimizer": optimizer}
    alone = Trained(ALONE, **options)
    for each in on_ranks(2, lambda ranks: Trained(ranks, **options)):
        assert_same(each, alone)


def test_validation_schedule_averaging_and_patience() -> None:
    def trained(ranks: Ranks) -> Trained:
        return Trained(
            ranks, max_iterations=None, valid=VALID, eos=7, schedule=Plateau(), patience=2, average=True
        )

    alone = trained(ALONE)
    assert len(alone.valid) > 2
    for each in on_ranks(3, trained):
        assert_same(each, alone)
        assert len(each.valid) == len(alone.valid)


def test_validation_is_divided_in_the_sequences_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.training.trainer.TOKENS_PER_VALIDATION_SEQUENCE", 30)
    valid = np.concatenate([VALID, [-1, 3, 5]])  # -1: a token that the vocabulary lacks

    def trained(ranks: Ranks) -> Trained:
        return Trained(ranks, valid=valid, eos=7)

    alone = trained(ALONE)
    for size in (2, 4):
        for each in on_ranks(size, trained):
            assert_same(each, alone)


def test_the_loss_is_weighted_by_counted_tokens() -> None:
    targets = IDS[1:].copy()
    targets[np.random.default_rng(0).random(len(targets)) < 0.4] = -1
    targets[: len(targets) // N] = -1  # the first sequence, all that rank 0 has, counts nowhere
    for name in ("lstm", "sampled", "adaptive"):
        alone = Trained(ALONE, MODELS[name], targets=targets)
        for each in on_ranks(4, lambda ranks, name=name: Trained(ranks, MODELS[name], targets=targets)):
            assert_same(each, alone)


def test_accumulated_blocks_are_summed_before_the_update() -> None:
    """The gradient of an update is the mean of those of its blocks, taken with the same weights."""
    xs, ts = IDS[:-1], IDS[1:]
    model, blocks = small_lm(V), Minibatches(xs, ts, N, T)
    sums = [np.zeros_like(p) for p in model.params]
    for _ in range(3):
        model.forward(*blocks.next()[:2])
        model.backward()
        for total, grad in zip(sums, model.grads, strict=True):
            total += grad / 3
    expected = [p - 0.5 * g for p, g in zip(model.params, sums, strict=True)]
    options: dict[str, Any] = {"optimizer": partial(SGD, 0.5), "max_grad": None, "fresh_at": None}
    options |= {"accumulate": 3, "make": partial(small_lm, V)}
    alone = Trained(ALONE, max_iterations=1, **options)
    for ours, theirs in zip(alone.weights, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-12)
    assert alone.events[-1].tokens == 3 * N * T
    alone = Trained(ALONE, **options)
    for each in on_ranks(2, lambda ranks: Trained(ranks, **options)):
        assert_same(each, alone)


@pytest.mark.parametrize("name", ["sampled", "cbow", "adaptive", "gru"])
def test_accumulation_goes_with_every_model(name: str) -> None:
    alone = Trained(ALONE, MODELS[name], accumulate=2)
    for each in on_ranks(3, lambda ranks: Trained(ranks, MODELS[name], accumulate=2)):
        assert_same(each, alone)


def test_a_text_of_fewer_blocks_than_an_update_needs() -> None:
    with pytest.raises(
        TextError, match=r"6 blocks of 5 × 3 tokens, but an update needs 7 \(`accumulate=7`\)"
    ):
        Trained(ALONE, ids=IDS[:100], accumulate=7)


def test_only_used_word_vectors_and_candidates_are_sent() -> None:
    model = sampled()
    step = SummedStep(model, SGD(0.1), ranks=ALONE)
    sent: list[int] = []
    ranks = on_ranks(1, lambda ranks: ranks)[0]
    step.ranks = ranks
    step(IDS[:10].reshape(2, 5), IDS[1:11].reshape(2, 5))
    sent = ranks.sent  # type: ignore[attr-defined]
    C, U = len(model.loss_layer.candidates), len(np.unique(IDS[:10]))
    H, D = 5, 4
    recurrent = D * H + H * H + H
    loss = 1
    assert sent == [C * H, C, loss, recurrent, U * D]


def test_one_rank_gives_the_numbers_of_the_plain_step() -> None:
    blocks = [(IDS[k : k + 10].reshape(2, 5), IDS[k + 1 : k + 11].reshape(2, 5)) for k in range(0, 60, 10)]
    ours, theirs = small_lm(V), small_lm(V)
    summed, plain = SummedStep(ours, SGD(0.3), ranks=ALONE), TrainingStep(theirs, SGD(0.3))
    for xs, ts in blocks:
        assert summed(xs, ts) == plain(xs, ts)
    for p, q in zip(ours.params, theirs.params, strict=True):
        assert_array_equal(p, q)


def test_any_rank_may_stop_all() -> None:
    def trained(ranks: Ranks) -> int:
        trainer = RnnlmTrainer(small_lm(V), SGD(0.1))
        trainer.ranks = ranks

        def watch(event: Any) -> None:
            if ranks.rank == 1 and event.iteration == 3:
                trainer.stop()

        trainer.fit(IDS[:-1], IDS[1:], 10, N, T, on_event=watch)
        return trainer.progress.iteration

    assert on_ranks(3, trained) == [3, 3, 3]


def test_state_is_divided_and_joined_with_another_number_of_ranks() -> None:
    alone = Trained(ALONE)

    def share(ranks: Ranks) -> Any:
        trainer = RnnlmTrainer(small_lm(V, cell="lstm", layers=2), SGD(0.1))
        trainer.model.carry(alone.state)
        trainer.share(ranks)
        rows = ranks.rows(N)
        assert trainer.model.carried_state().batch_size == rows.stop - rows.start
        return trainer.carried_state()

    for size in (2, 3, 5):
        assert all(state == alone.state for state in on_ranks(size, share))


def test_rows_cover_the_batch() -> None:
    for size in (1, 2, 3, 7):
        rows = [rows_of(rank, size, 20) for rank in range(size)]
        assert [k for part in rows for k in range(20)[part]] == list(range(20))
    assert division(3, 20) == "3 processes of 6, 7 and 7 sequences"
    assert division(16, 20) == "16 processes of 1 or 2 sequences"


def test_more_ranks_than_sequences() -> None:
    with pytest.raises(ConfigError) as raised:
        rows_of(0, 4, 3)
    assert str(raised.value) == (
        "a minibatch of 3 sequences cannot be divided among 4 processes; set `batch_size=4` or more, or use fewer "
        "processes"
    )


def test_the_first_difference_between_ranks() -> None:
    same = {"version": "1.0", "tokens": 5}
    assert first_difference([same, same]) is None
    assert first_difference([same, same, {**same, "version": "1.1"}]) == (
        'rank 2 has another version than rank 0: "1.1" instead of "1.0"'
    )
