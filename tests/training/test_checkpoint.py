"""Checkpoints: everything that training needs to continue as if nothing had happened."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from elman.errors import ModelFileError
from elman.formats.model_file import build_model, read_arrays, save_model, write_arrays
from elman.text_model import TextModel, load
from elman.training.optimizers import OPTIMIZERS
from elman.training.run_folder import load_checkpoint, restore, save_checkpoint, weights_are_finite
from elman.training.schedules import SCHEDULES
from elman.training.trainer import RnnlmTrainer
from support.tiny import STORY, text_model

OPTIONS = {"cell": "lstm", "layers": 2, "dropout": 0.3}


def begun(
    optimizer: str = "adam", schedule: str = "plateau", blocks: int = 7
) -> tuple[TextModel, RnnlmTrainer]:
    text = text_model(**OPTIONS)
    trainer = RnnlmTrainer(text.model, OPTIMIZERS[optimizer](lr=0.02))
    trainer.schedule = SCHEDULES[schedule]()
    if blocks:
        go_on(text, trainer, blocks)
    return text, trainer


def go_on(text: TextModel, trainer: RnnlmTrainer, blocks: int) -> None:
    _, ids = text.encode(STORY)
    trainer.fit(ids[:-1], ids[1:], 100, 2, 3, 1.0, 4, max_iterations=blocks)


def again(path: Path, optimizer: str = "adam", schedule: str = "plateau") -> RnnlmTrainer:
    """A new trainer with the same options, restored from the checkpoint."""
    checkpoint = load_checkpoint(path)
    model = build_model(checkpoint.arrays, checkpoint.about, path)
    trainer = RnnlmTrainer(model, OPTIMIZERS[optimizer](lr=0.02))
    trainer.schedule = SCHEDULES[schedule]()
    restore(checkpoint, trainer)
    return trainer


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("blocks", [0, 7, 40])
def test_everything_comes_back(tmp_path: Path, optimizer: str, schedule: str, blocks: int) -> None:
    text, trainer = begun(optimizer, schedule, blocks)
    save_checkpoint(tmp_path / "last", text, trainer)
    other = again(tmp_path / "last", optimizer, schedule)
    assert other.progress == trainer.progress
    assert other.schedule.state() == trainer.schedule.state()
    assert other.optimizer.step == trainer.optimizer.step == blocks
    assert other.optimizer.state.keys() == trainer.optimizer.state.keys()
    for slot, held in trainer.optimizer.state.items():
        for ours, theirs in zip(other.optimizer.state[slot], held, strict=True):
            assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
    assert other.model.carried_state() == trainer.model.carried_state()
    assert (other.model.carried_state() is None) == (blocks == 0)
    assert other.model.dropout_rng.bit_generator.state == trainer.model.dropout_rng.bit_generator.state
    for name, weight in trainer.model.weights.items():
        assert_array_equal(other.model.weights[name], weight)


def test_training_resumes_bit_for_bit(tmp_path: Path) -> None:
    text, trainer = begun()
    save_checkpoint(tmp_path / "last", text, trainer)
    other = again(tmp_path / "last")
    go_on(text, trainer, 60)
    go_on(text, other, 60)
    assert other.ppl_list == trainer.ppl_list
    assert len(other.ppl_list) == 15
    for ours, theirs in zip(other.model.params, trainer.model.params, strict=True):
        assert_array_equal(ours, theirs)


def test_what_is_restored_is_writable_and_its_own(tmp_path: Path) -> None:
    text, trainer = begun()
    save_checkpoint(tmp_path / "last", text, trainer)
    checkpoint = load_checkpoint(tmp_path / "last")
    other = again(tmp_path / "last")
    restore(checkpoint, other)
    for held in other.optimizer.state.values():
        for array in held:
            array += 1
    restore(checkpoint, other)
    assert_array_equal(other.optimizer.state["m"][0], trainer.optimizer.state["m"][0])


def test_a_checkpoint_is_a_model_file_too(tmp_path: Path) -> None:
    text, trainer = begun()
    save_checkpoint(tmp_path / "last", text, trainer)
    found = load(tmp_path / "last")
    assert found.vocabulary == text.vocabulary
    assert_array_equal(
        found.model.next_log_probs(found.model.start()), text.model.next_log_probs(text.model.start())
    )


def test_more_data_is_saved_with_the_progress(tmp_path: Path) -> None:
    text, trainer = begun()
    save_checkpoint(tmp_path / "last", text, trainer, metrics_bytes=123)
    assert load_checkpoint(tmp_path / "last").training["metrics_bytes"] == 123


def test_no_gain_yet_is_plain_json(tmp_path: Path) -> None:
    text, trainer = begun(blocks=0)
    assert trainer.progress.best_perplexity == math.inf
    save_checkpoint(tmp_path / "last", text, trainer)
    training = load_checkpoint(tmp_path / "last").training
    assert training["progress"]["best_perplexity"] is None
    assert training["schedule"]["best"] is None


def test_a_model_without_its_training_state_is_not_a_checkpoint(tmp_path: Path) -> None:
    save_model(tmp_path / "m", text_model())
    with pytest.raises(ModelFileError, match="is a model, but not a checkpoint"):
        load_checkpoint(tmp_path / "m")


def test_a_checkpoint_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last"
    save_checkpoint(path, *begun())
    whole = path.read_bytes()
    for length in (0, 5, 8, 1000, *range(20, len(whole), len(whole) // 20), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match="truncated or is not a model file"):
            load_checkpoint(path)


@pytest.mark.parametrize("what", ["garbage", "nothing"])
def test_no_checkpoint_is_refused(tmp_path: Path, what: str) -> None:
    if what == "garbage":
        (tmp_path / "last").write_bytes(b"garbage" * 50)
    with pytest.raises(ModelFileError):
        load_checkpoint(tmp_path / "last")


@pytest.mark.parametrize(("change", "value"), [("format", 99), ("kind", "unknown"), ("model", {})])
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, change: str, value: Any) -> None:
    path = tmp_path / "last"
    save_checkpoint(path, *begun())
    arrays, about = read_arrays(path)
    write_arrays(path, arrays, {**about, change: value})
    with pytest.raises((ModelFileError, KeyError)):
        again(path)


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, trainer = begun()
    path = tmp_path / "last"
    save_checkpoint(path, text, trainer)
    whole = path.read_bytes()
    go_on(text, trainer, 9)

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(
        ModelFileError, match=r"cannot write .*last: No space left on device; nothing was changed"
    ):
        save_checkpoint(path, text, trainer)
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_weight_that_is_not_finite_is_noticed(bad: float) -> None:
    model: Any = text_model().model
    assert weights_are_finite(model)
    model.params[-1][0] = bad
    assert not weights_are_finite(model)
