"""Averaged weights: the plain mean of the weights after every update since averaging began."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, ModelFileError
from elman.evaluation.perplexity import evaluate
from elman.formats.model_file import read_arrays, write_arrays
from elman.text_model import load
from elman.training.averaging import Averaging, Tail, Triggered, averaging_of
from elman.training.config import Config
from elman.training.optimizers import OPTIMIZERS, SGD
from elman.training.progress import BlockDone, EpochDone
from elman.training.run import TrainingRun
from elman.training.trainer import RnnlmTrainer
from support.runs import contents, in_parts, new_run, without_seconds
from support.tiny import SENTENCE, small_lm
from support.trainers import BLOCKS, CORPUS, TS, XS, N, T, textbook

VALID = CORPUS[:50]


def fitted(
    averaging: Averaging, optimizer: Any = None, model: Any = None, **options: Any
) -> tuple[RnnlmTrainer, list[list[Any]], list[EpochDone]]:
    """Return the trainer, the weights after every block, and the epochs."""
    trainer = RnnlmTrainer(model or small_lm(), optimizer or SGD(0.3))
    trainer.averaging = averaging
    weights: list[list[Any]] = []
    epochs: list[EpochDone] = []

    def watch(event: Any) -> None:
        if isinstance(event, BlockDone):
            weights.append([p.copy() for p in trainer.model.params])
        elif isinstance(event, EpochDone):
            epochs.append(event)

    trainer.fit(XS, TS, batch_size=N, time_size=T, on_event=watch, **{"max_epoch": 4, **options})
    return trainer, weights, epochs


def mean(weights: list[list[Any]]) -> list[Any]:
    return [np.mean(of_one, axis=0) for of_one in zip(*weights, strict=True)]


def assert_average(trainer: RnnlmTrainer, weights: list[list[Any]]) -> None:
    raw = [p.copy() for p in trainer.model.params]
    with trainer.averaging.applied(trainer.model.params):
        for p, expected in zip(trainer.model.params, mean(weights), strict=True):
            assert_allclose(p, expected, rtol=1e-12, atol=1e-15)
    for p, before in zip(trainer.model.params, raw, strict=True):
        assert_array_equal(p, before)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_tail_is_the_mean_of_the_last_weights(name: str) -> None:
    trainer, weights, _ = fitted(Tail(0.25), OPTIMIZERS[name](0.05))
    assert trainer.averaging.count == BLOCKS
    assert_average(trainer, weights[-BLOCKS:])


@pytest.mark.parametrize(("share", "averaged"), [(1.0, 4 * BLOCKS), (0.5, 2 * BLOCKS), (1e-9, 0)])
def test_the_fraction_says_how_many(share: float, averaged: int) -> None:
    assert fitted(Tail(share))[0].averaging.count == averaged


def test_training_continues_with_the_raw_weights() -> None:
    plain, trajectory, _ = fitted(Averaging(), valid=VALID)
    averaged, same, _ = fitted(Tail(0.5), valid=VALID)
    for ours, theirs in zip(same, trajectory, strict=True):
        for p, q in zip(ours, theirs, strict=True):
            assert_array_equal(p, q)
    assert plain.progress.ppl_list == averaged.progress.ppl_list


def test_validation_is_of_the_average() -> None:
    _, weights, epochs = fitted(Tail(0.5), valid=VALID)
    _, _, plain = fitted(Averaging(), valid=VALID)
    assert [a.valid_perplexity == b.valid_perplexity for a, b in zip(epochs, plain, strict=True)] == [
        True,
        True,
        False,
        False,
    ]
    for number in (3, 4):
        model = small_lm()
        for p, average in zip(model.params, mean(weights[2 * BLOCKS : number * BLOCKS]), strict=True):
            p[...] = average
        expected = evaluate(model, VALID).perplexity_known
        assert epochs[number - 1].valid_perplexity == pytest.approx(expected, rel=1e-12)


def test_a_model_that_shares_a_parameter_is_averaged_too() -> None:
    model = textbook()
    model.params, model.grads = [*model.params, model.params[0]], [*model.grads, model.grads[0] * 0]
    trainer, weights, _ = fitted(Tail(0.5), model=model)
    assert_average(trainer, weights[2 * BLOCKS :])


def test_raw_weights_come_back_whatever_happens() -> None:
    trainer, _, _ = fitted(Tail(1.0))
    raw = [p.copy() for p in trainer.model.params]
    with pytest.raises(KeyboardInterrupt), trainer.averaging.applied(trainer.model.params):
        raise KeyboardInterrupt
    for p, before in zip(trainer.model.params, raw, strict=True):
        assert_array_equal(p, before)


@pytest.mark.parametrize(
    ("patience", "perplexities", "begins"),
    [
        (1, [5, 4, 3, 4], None),  # worse than the last, but no worse than those before it
        (1, [5, 4, 3, 4, 4], 5),
        (1, [5, 4, 6], 3),
        (2, [5, 4, 3, 6, 4], 4),
        (5, [9, 8, 7, 6, 5, 4, 3], None),
        (5, [3, 4, 5, 6, 7, 8, 9], 7),
        (5, [3, 4, 5, 6, 7, 8], None),
        (1, [5, 5, 5], None),
        (1, [5, 6, math.nan], None),
        (1, [5, 6, math.inf], 3),
    ],
)
def test_when_averaging_is_triggered(patience: int, perplexities: list[float], begins: int | None) -> None:
    averaging, begun = Triggered(patience), []
    for perplexity in perplexities:
        averaging.epoch_end(perplexity)
        begun.append(averaging.begun)
    assert begun == [begins is not None and k >= begins for k in range(1, len(begun) + 1)]


def test_what_is_triggered_is_the_mean_from_the_next_update_on() -> None:
    averaging = Triggered(1)
    trainer, weights, epochs = fitted(averaging, SGD(2.0), valid=VALID, max_epoch=12)
    perplexities = [epoch.valid_perplexity or 0.0 for epoch in epochs]
    before = next(t for t in range(2, 12) if perplexities[t] > min(perplexities[: t - 1])) + 1
    assert averaging.count == (12 - before) * BLOCKS > 0
    assert_average(trainer, weights[before * BLOCKS :])


def test_without_a_validation_text_the_training_perplexity_counts() -> None:
    averaging = Triggered(1)
    _, _, epochs = fitted(averaging)
    assert averaging.state()["perplexities"] == [epoch.perplexity for epoch in epochs]


# Runs

TAIL: dict[str, Any] = {"averaging": "tail", "averaging_share": 0.6, "lr": 0.05}
TRIGGERED: dict[str, Any] = {"averaging": "triggered", "averaging_patience": 1, "lr": 0.2, "epochs": 8}
KINDS = [TAIL, TRIGGERED, {**TAIL, "weight_decay": 0.5}]


@pytest.fixture
def valid(tmp_path: Path) -> str:
    (tmp_path / "valid.txt").write_text(SENTENCE + "tom was in the garden .\n", encoding="utf-8")
    return str(tmp_path / "valid.txt")


@pytest.mark.parametrize("options", KINDS, ids=["tail", "triggered", "decayed"])
def test_a_resumed_run_equals_one_that_never_stopped(
    tmp_path: Path, valid: str, options: dict[str, Any]
) -> None:
    whole = new_run(tmp_path / "whole", valid=valid, **options)
    whole.train()
    last = whole.trainer.progress.iteration
    parts = in_parts(new_run(tmp_path / "parts", valid=valid, **options), {1, last // 2, last - 7, last - 1})
    assert whole.trainer.averaging.count > 0
    assert parts.trainer.averaging.state() == whole.trainer.averaging.state()
    ours, theirs = (read_arrays(run.folder / "last.safetensors")[0] for run in (parts, whole))
    assert "average.0" in ours
    assert ours["average.0"].dtype == np.float64
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert_array_equal(ours[name], theirs[name], err_msg=name)
    assert without_seconds(parts.folder) == without_seconds(whole.folder)
    assert contents(parts.folder)["model.safetensors"] == contents(whole.folder)["model.safetensors"]


def test_the_best_model_is_the_average_that_was_validated(tmp_path: Path, valid: str) -> None:
    run = new_run(tmp_path / "run", valid=valid, **{**TAIL, "averaging_share": 1.0})
    run.train()
    model, best = load(run.folder), run.text_model.info["best"]
    assert run.corpora.valid is not None
    found = evaluate(model.model, run.corpora.valid.ids, eos=model.start_id).perplexity_known
    assert found == pytest.approx(best["perplexity"], rel=1e-6)
    assert best["epoch"] == 3
    with run.trainer.averaging.applied(run.trainer.model.params):
        for name, weight in run.trainer.model.weights.items():
            assert_array_equal(model.model.weights[name], weight)
    raw = load(run.folder / "last.safetensors").model.weights
    assert any((raw[name] != weight).any() for name, weight in model.model.weights.items())


def test_extending_a_run_begins_the_tail_again(tmp_path: Path) -> None:
    longer, run = new_run(tmp_path / "longer", epochs=6, **TAIL), new_run(tmp_path / "run", epochs=2, **TAIL)
    longer.train()
    run.train()
    again = TrainingRun.resume(run.folder, {"epochs": 6})
    again.train()
    assert again.trainer.averaging.count == longer.trainer.averaging.count
    for ours, theirs in zip(again.trainer.averaging.totals, longer.trainer.averaging.totals, strict=True):
        assert_array_equal(ours, theirs)


def test_a_checkpoint_without_its_average_is_named_as_damaged(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", **TAIL)
    run.train()
    last = run.folder / "last.safetensors"
    arrays, about = read_arrays(last)
    training = {k: v for k, v in about["training"].items() if k != "averaging"}
    sums = {k: v for k, v in arrays.items() if k != "average.1"}
    for damaged in ((arrays, {**about, "training": training}), (sums, about)):
        write_arrays(last, *damaged)
        with pytest.raises(ModelFileError, match=r"last.safetensors: its description is incomplete"):
            TrainingRun.resume(run.folder)


def test_a_run_without_averaging_says_nothing_of_it(tmp_path: Path) -> None:
    arrays, about = read_arrays(new_run(tmp_path / "run").folder / "last.safetensors")
    assert "averaging" not in about["training"]
    assert not [name for name in arrays if name.startswith("average.")]


def test_options_for_another_kind_of_averaging_are_errors() -> None:
    assert isinstance(averaging_of(Config(averaging="tail")), Tail)
    assert isinstance(averaging_of(Config(averaging="triggered", averaging_patience=2)), Triggered)
    with pytest.raises(
        ConfigError,
        match=r"`averaging_share=0.5` applies only to `averaging='tail'`, but averaging is 'none'",
    ):
        averaging_of(Config(averaging_share=0.5))
    with pytest.raises(ConfigError, match="`averaging_patience=2` applies only to `averaging='triggered'`"):
        averaging_of(Config(averaging="tail", averaging_patience=2))
