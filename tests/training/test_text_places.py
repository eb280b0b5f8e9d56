"""Resuming a run whose texts, or whose folder, have moved."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from elman.errors import RunError, TextError
from elman.training.config import read_toml, write_toml
from elman.training.run import TrainingRun
from support.runs import contents, new_run, small_config
from support.tiny import SENTENCE, STORY


@pytest.fixture
def run(tmp_path: Path) -> TrainingRun:
    """A run in a folder of its own, next to its two texts."""
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "old" / "valid.txt").write_text(SENTENCE + "tom was in the garden .\n", encoding="utf-8")
    return new_run(tmp_path / "old" / "run", valid=str(tmp_path / "old" / "valid.txt"))


def stored(run: Path) -> dict[str, Any]:
    return read_toml((run / "config.toml").read_text("utf-8"), "config.toml")


def cached(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / ".elman-cache").iterdir()}


def test_a_text_that_moved_is_named_and_remembered(run: TrainingRun, tmp_path: Path) -> None:
    shutil.move(tmp_path / "old" / "corpus.txt", tmp_path / "new" / "text.txt")
    with pytest.raises(
        TextError, match=r"is no longer at .*corpus.txt; if it has moved, give its new place as `corpus`"
    ):
        TrainingRun.resume(run.folder)
    again = TrainingRun.resume(run.folder, corpus=str(tmp_path / "new" / "text.txt"))
    assert again.text_model.info["corpus"] == str(tmp_path / "new" / "text.txt")
    assert stored(run.folder)["corpus"] == str(tmp_path / "new" / "text.txt")
    before = cached(tmp_path / "old")
    TrainingRun.resume(run.folder).train()
    assert cached(tmp_path / "old") == before


def test_the_validation_text_is_found_beside_the_training_text(run: TrainingRun, tmp_path: Path) -> None:
    for name in ("corpus.txt", "valid.txt"):
        shutil.move(tmp_path / "old" / name, tmp_path / "new" / name)
    again = TrainingRun.resume(run.folder, corpus=str(tmp_path / "new" / "corpus.txt"))
    assert again.corpora.valid is not None
    assert stored(run.folder)["valid"] == str(tmp_path / "new" / "valid.txt")


def test_a_validation_text_that_moved_alone_is_given(run: TrainingRun, tmp_path: Path) -> None:
    shutil.move(tmp_path / "old" / "valid.txt", tmp_path / "new" / "dev.txt")
    with pytest.raises(TextError, match=r"the validation text of .* give its new place as `valid`"):
        TrainingRun.resume(run.folder)
    TrainingRun.resume(run.folder, valid=str(tmp_path / "new" / "dev.txt"))
    assert TrainingRun.resume(run.folder).corpora.valid is not None


def test_another_text_is_refused_before_anything_is_written(run: TrainingRun, tmp_path: Path) -> None:
    other = tmp_path / "new" / "other.txt"
    other.write_text(STORY + "more .\n", encoding="utf-8")
    before, ids = contents(run.folder), cached(tmp_path / "old")
    for what, kind in (("corpus", "training"), ("valid", "validation")):
        with pytest.raises(
            RunError,
            match=f"the {kind} text '.*other.txt' is not the one that .* was started with: its SHA-256",
        ):
            TrainingRun.resume(run.folder, **{what: str(other)})  # type: ignore[arg-type]
    assert (contents(run.folder), cached(tmp_path / "old")) == (before, ids)


def test_a_changed_validation_text_is_noticed(run: TrainingRun, tmp_path: Path) -> None:
    (tmp_path / "old" / "valid.txt").write_text(SENTENCE * 2, encoding="utf-8")
    with pytest.raises(RunError, match=r"the validation text '.*valid.txt' has changed since .* was started"):
        TrainingRun.resume(run.folder)


def test_a_run_of_an_older_version_has_no_checksum_of_its_validation_text(
    run: TrainingRun, tmp_path: Path
) -> None:
    run.text_model.info.pop("valid_sha256")
    run.save()
    old = stored(run.folder)
    del old["folder"]
    (run.folder / "config.toml").write_text(write_toml(old), encoding="utf-8")
    shutil.move(tmp_path / "old" / "valid.txt", tmp_path / "new" / "valid.txt")
    again = TrainingRun.resume(run.folder, valid=str(tmp_path / "new" / "valid.txt"))
    again.save()
    assert "valid_sha256" in TrainingRun.resume(run.folder).text_model.info


@pytest.mark.parametrize("valid", ["auto", "none", None])
def test_a_run_does_not_get_another_kind_of_validation(tmp_path: Path, valid: str | None) -> None:
    run = new_run(tmp_path / "run", STORY + SENTENCE, valid)
    other = tmp_path / "valid.txt"
    other.write_text(SENTENCE, encoding="utf-8")
    with pytest.raises(RunError, match=r"was started with validation on .* and cannot continue with"):
        TrainingRun.resume(run.folder, valid=str(other))
    if valid is not None:
        TrainingRun.resume(run.folder, valid=valid)


def test_a_folder_that_moved_with_its_texts_finds_them(run: TrainingRun, tmp_path: Path) -> None:
    run.train()
    shutil.move(tmp_path / "old", tmp_path / "new" / "place")
    folder = tmp_path / "new" / "place" / "run"
    again = TrainingRun.resume(folder, {"epochs": 4})
    again.train()
    found = stored(folder)
    assert found["folder"] == str(folder)
    assert found["corpus"] == str(folder.parent / "corpus.txt")
    assert found["valid"] == str(folder.parent / "valid.txt")


def test_a_folder_that_moved_alone_still_has_its_texts(run: TrainingRun, tmp_path: Path) -> None:
    shutil.move(run.folder, tmp_path / "new" / "run")
    TrainingRun.resume(tmp_path / "new" / "run")


def test_a_text_kept_in_the_run_folder_moves_with_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "text.txt").write_text(STORY, encoding="utf-8")
    TrainingRun.create(tmp_path / "run", str(tmp_path / "run" / "text.txt"), small_config())
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    again = TrainingRun.resume(tmp_path / "elsewhere")
    assert stored(again.folder)["corpus"] == str(tmp_path / "elsewhere" / "text.txt")
