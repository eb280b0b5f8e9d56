"""Run folders that are damaged, and run folders that are replaced."""

import contextlib
import errno
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.errors import ConfigError, ModelFileError, RunError, TextError, TrainingDiverged
from elman.formats.metrics_log import read_metrics
from elman.formats.model_file import read_arrays, write_arrays
from elman.training.progress import BlockDone, EpochDone
from elman.training.run import TrainingRun
from support.full_disk import files_of_at_most
from support.runs import FILES, assert_same_end, contents, names, new_run, small_config
from support.tiny import STORY


@pytest.mark.parametrize("missing", ["config.toml", "last.safetensors", "everything"])
def test_a_folder_without_a_run_cannot_be_resumed(tmp_path: Path, missing: str) -> None:
    run = new_run(tmp_path / "run")
    if missing == "everything":
        shutil.rmtree(run.folder)
    else:
        (run.folder / missing).unlink()
    with pytest.raises(RunError, match=r"holds no run to resume: config.toml or last.safetensors is missing"):
        TrainingRun.resume(run.folder)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"corpus = ", ConfigError, "config.toml is not valid TOML"),
        (b"", RunError, "config.toml lacks corpus and valid and options"),
        (b'corpus = "a"\nvalid = 3\n[options]\n', RunError, "config.toml lacks valid"),
        (b'corpus = "a"\nvalid = ""\n[options]\nhiden = 1\n', ConfigError, "config.toml: .*hiden"),
        (b"\xff\xfe", RunError, "config.toml cannot be read: .*utf-8"),
    ],
)
def test_damaged_options_are_named(
    tmp_path: Path, content: bytes, error: type[Exception], message: str
) -> None:
    run = new_run(tmp_path / "run")
    (run.folder / "config.toml").write_bytes(content)
    with pytest.raises(error, match=message):
        TrainingRun.resume(run.folder)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", optimizer="adam", iterations=3)
    run.train()
    last = run.folder / "last.safetensors"
    whole = last.read_bytes()
    for length in (0, 100, len(whole) - 1):
        last.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match=r"last.safetensors is truncated"):
            TrainingRun.resume(run.folder)
    last.write_bytes(whole)
    arrays, about = read_arrays(last)
    write_arrays(last, {k: a for k, a in arrays.items() if k != "optimizer.m.1"}, about)
    with pytest.raises(ModelFileError, match=r"last.safetensors: .*incomplete .*optimizer.m.1"):
        TrainingRun.resume(run.folder)
    for part in ("vocabulary", "info"):
        write_arrays(last, arrays, {k: v for k, v in about.items() if k != part})
        with pytest.raises(ModelFileError, match=f"last.safetensors: .*{part}"):
            TrainingRun.resume(run.folder)
    for part in about["training"]:
        training = {k: v for k, v in about["training"].items() if k != part}
        write_arrays(last, arrays, {**about, "training": training})
        with pytest.raises(ModelFileError, match=r"last.safetensors: its description is incomplete"):
            TrainingRun.resume(run.folder)


def test_a_model_in_place_of_the_checkpoint_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.train()
    shutil.copy(run.folder / "model.safetensors", run.folder / "last.safetensors")
    with pytest.raises(ModelFileError, match="is a model, but not a checkpoint"):
        TrainingRun.resume(run.folder)


def test_after_a_divergence_the_last_good_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elman.training.run.EPOCH_WORTH_SAVING", 0)
    run = new_run(tmp_path / "run", optimizer="sgd", clip_norm=0, epochs=50)

    def poison(event: Any) -> None:
        if isinstance(event, BlockDone) and event.epoch == 2:
            run.trainer.model.params[1][0, 0] = math.nan
            run.save()

    before = contents(run.folder)
    with pytest.raises(TrainingDiverged):
        run.train(poison)
    again = TrainingRun.resume(run.folder)
    assert again.trainer.progress.epoch == 1
    assert all(np.isfinite(p).all() for p in again.trainer.model.params)
    assert contents(run.folder)["config.toml"] == before["config.toml"]


# Replacing


def test_a_run_is_not_replaced_without_overwrite(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.train()
    before = contents(run.folder)
    with pytest.raises(
        RunError, match=r"already holds a run \(.*model.safetensors.*\); continue it with `resume=True`"
    ):
        new_run(run.folder)
    assert contents(run.folder) == before


@pytest.mark.parametrize("name", FILES)
def test_one_file_of_a_run_is_a_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_bytes(b"precious")
    with pytest.raises(RunError, match=f"already holds a run \\({name}\\)"):
        new_run(tmp_path / "run")


def overwrite(folder: Path, corpus: str, **options: Any) -> TrainingRun:
    return TrainingRun.create(folder, corpus, small_config(**options), overwrite=True, given=options)


def test_overwrite_replaces_a_run_and_keeps_other_files(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.train()
    (run.folder / "notes.txt").write_text("mine")
    (run.folder / ".model.safetensors.abc.part").write_bytes(b"half a fi")  # of a process that was killed
    new = overwrite(run.folder, str(tmp_path / "corpus.txt"), hidden=9)
    assert names(run.folder) == sorted({*FILES, "notes.txt"} - {"model.safetensors"})
    assert new.trainer.model.hidden_size == 9
    assert [line["kind"] for line in read_metrics(run.folder)] == ["start"]
    assert TrainingRun.resume(run.folder).config.hidden == 9


@pytest.mark.parametrize(
    ("corpus", "options", "error"),
    [
        ("gone.txt", {}, TextError),
        ("empty.txt", {}, TextError),
        ("short.txt", {"batch_size": 4}, TextError),
        ("corpus.txt", {"tie_weights": True}, ConfigError),
        ("corpus.txt", {"wrap": "restart"}, ConfigError),
        ("corpus.txt", {"batch_size": 500}, TextError),
    ],
    ids=["missing", "empty", "too short", "no model", "no sequences", "too many sequences"],
)
@pytest.mark.parametrize("replacing", [True, False])
def test_a_run_that_fails_to_start_changes_nothing(
    tmp_path: Path, corpus: str, options: dict[str, Any], error: type[Exception], replacing: bool
) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "short.txt").write_text("a b c\n")
    old = new_run(tmp_path / "run")
    folder = old.folder if replacing else tmp_path / "new"
    if replacing:
        old.train()
    before = contents(old.folder)
    with pytest.raises(error):
        overwrite(folder, str(tmp_path / corpus), **options)
    assert contents(old.folder) == before
    assert not (tmp_path / "new").exists() or names(tmp_path / "new") == []


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "corpus.txt").write_text(STORY)
    with pytest.raises(RunError, match="cannot write the run folder"):
        overwrite(tmp_path / place, str(tmp_path / "corpus.txt"))


def full(*arguments: object, **more: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_no_half_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.formats.model_file.atomic_write", full)
    with pytest.raises(ModelFileError, match="No space left on device"):
        new_run(tmp_path / "run")
    monkeypatch.undo()
    assert not (tmp_path / "run").exists()
    assert names(new_run(tmp_path / "run").folder) == ["config.toml", "last.safetensors", "metrics.jsonl"]


def test_a_full_disk_leaves_the_run_that_was_to_be_replaced(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.train()
    before = contents(run.folder)
    for limit in (0, 100, 2000):  # within the options, the checkpoint
        with files_of_at_most(limit), pytest.raises((RunError, ModelFileError)):
            overwrite(run.folder, str(tmp_path / "corpus.txt"), hidden=9)
        assert contents(run.folder) == before


def test_a_disk_that_is_full_for_a_while_does_not_end_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, run = (
        new_run(tmp_path / name, checkpoint_every=1e-9, valid=None, epochs=6) for name in ("whole", "run")
    )
    whole.train()
    full_disk = contextlib.ExitStack()

    def fill_and_empty(event: Any) -> None:
        if isinstance(event, BlockDone) and event.iteration == 3:
            full_disk.enter_context(files_of_at_most(0))
        if isinstance(event, EpochDone) and event.epoch == 3:
            full_disk.close()

    with full_disk:
        run.train(fill_and_empty)
    assert_same_end(run, whole)
    assert contents(run.folder)["model.safetensors"] == contents(whole.folder)["model.safetensors"]
    assert any("training continues, and tries again" in message for message in caplog.messages)
    assert any("kept in memory and written with the next checkpoint" in each for each in caplog.messages)


def test_a_last_checkpoint_that_cannot_be_written_says_where_the_weights_are(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", iterations=3)
    last = contents(run.folder)["last.safetensors"]
    with (
        files_of_at_most(0),
        pytest.raises(
            RunError, match=r"weights of iteration 3 are lost, those of iteration 0 are in .*last.safete"
        ),
    ):
        run.train()
    assert contents(run.folder)["last.safetensors"] == last
    assert TrainingRun.resume(run.folder).trainer.progress.iteration == 0


def test_what_killed_processes_left_in_the_folder_is_removed(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.train()
    whole = contents(run.folder)
    staged = run.folder / ".elman-new"
    staged.mkdir()
    for path in (
        staged / "config.toml",
        run.folder / "config.toml.new",
        run.folder / ".stdin-123",
        run.folder / ".text-77",
        run.folder / "..text-77.x.part",
        run.folder / "text-0123456789abcdef.txt",
        run.folder / "text-notes.txt",
    ):
        path.write_bytes(b"x")
    TrainingRun.resume(run.folder)
    assert names(run.folder) == sorted([*FILES, "text-notes.txt"])
    assert whole.items() <= contents(run.folder).items()


def test_a_disk_too_full_for_new_limits_keeps_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path / "run")
    before = contents(run.folder)
    monkeypatch.setattr("elman.training.run_folder.atomic_write", full)
    with pytest.raises(
        RunError, match=r"cannot write the run folder .*: No space left.*; nothing was changed"
    ):
        TrainingRun.resume(run.folder, {"epochs": 9})
    assert contents(run.folder) == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hidden = 6", "hidden = 7", "says hidden = 7, but the checkpoint next to it has 6"),
        ('cell = "rnn"', 'cell = "gru"', "says cell = 'gru', but the checkpoint next to it has 'rnn'"),
        ('level = "word"', 'level = "char"', "says level = 'char', but the checkpoint"),
    ],
)
def test_options_edited_into_those_of_another_model_are_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    run = new_run(tmp_path / "run")
    path = run.folder / "config.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        TrainingRun.resume(run.folder)
