"""`elman train`: what it refuses, in one line, leaving no files behind."""

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.errors import RunError
from elman.text_model import load
from elman.training.runs import open_run
from support.command_line import SMALL, contents
from support.tiny import STORY

Refused = Callable[..., str]


def test_a_missing_corpus_is_named(refused: Refused) -> None:
    assert refused("train", "-o", "run").startswith("name a CORPUS: a file, a folder, a named corpus")
    assert not Path("run").exists()


def test_run_is_replaced_only_with_overwrite(refused: Refused, command: Any, story: Path) -> None:
    command("train", story, "-o", "run", *SMALL)
    before = contents(Path("run"))
    line = refused("train", story, "-o", "run", *SMALL)
    assert line.startswith("run already holds a run (config.toml, ")
    assert "--resume RUN, " in line
    assert "--overwrite" in line
    assert contents(Path("run")) == before
    assert command("train", story, "-o", "run", *SMALL, "--overwrite", "--hidden", 7).code == 0
    assert contents(Path("run")) != before


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("story.txt", "cannot write the run folder story.txt: File exists"),
        (
            "story.txt/run",
            "cannot write the run folder story.txt/run: Not a directory",
        ),
        (
            "/proc/run",
            "cannot write the run folder /proc/run: No such file or directory",
        ),
    ],
)
def test_an_output_that_cannot_be_written_is_named(
    refused: Refused, story: Path, output: str, message: str
) -> None:
    line = refused("train", story, "-o", output, *SMALL)
    assert message in line
    assert "choose another folder" in line
    assert story.read_text(encoding="utf-8") == STORY


def fill_disk_after(monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """Let the disk be full after this number of files has been written."""
    flush, written = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal written
        written += stat.S_ISREG(os.fstat(handle).st_mode)
        if written > files:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(handle)

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_full_disk_is_named_whenever_it_fills_up_and_leaves_no_half_run(command: Any, story: Path) -> None:
    for files in range(100):
        with pytest.MonkeyPatch.context() as patch:
            fill_disk_after(patch, files)
            outcome = command("train", story, "-o", "run", *SMALL, "-q")
        if outcome.code == 0:
            break
        assert outcome.code == 1
        assert "no space left on device" in outcome.err.splitlines()[-1].lower()
        assert outcome.out == ""
        if Path("run").exists():  # then it has begun, and can be resumed
            assert command("train", "--resume", "run", "-q", "--epochs", 3).code == 0
            shutil.rmtree("run")
    assert files >= 5


def test_metrics_that_cannot_be_written_leave_no_half_run(refused: Refused, story: Path) -> None:
    def full(*arguments: Any, **more: Any) -> None:
        raise RunError("cannot write run/metrics.jsonl: No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("elman.formats.metrics_log.Metrics.write", full)
        assert "No space left on device" in refused("train", story, "-o", "run", *SMALL)
    assert not Path("run").exists()


def test_full_disk_when_resuming_changes_nothing(command: Any, story: Path) -> None:
    command("train", story, "-o", "run", *SMALL)
    before = contents(Path("run"))
    for files in range(100):
        with pytest.MonkeyPatch.context() as patch:
            fill_disk_after(patch, files)
            outcome = command("train", "--resume", "run", "--epochs", 9)
        if "resuming after iteration" in outcome.err:
            break
        assert outcome.code == 1
        assert "no space left on device" in outcome.err.lower()
        assert contents(Path("run")) == before
    assert files == 1  # the new limits are written; the texts have been encoded before


def test_a_full_disk_when_replacing_leaves_the_old_run_or_the_new_one(command: Any, story: Path) -> None:
    command("train", story, "-o", "run", *SMALL)
    before = contents(Path("run"))
    kept = []
    for files in range(100):
        with pytest.MonkeyPatch.context() as patch:
            fill_disk_after(patch, files)
            outcome = command("train", story, "-o", "run", *SMALL, "--hidden", 4, "--overwrite")
        if outcome.code == 0:
            break
        kept.append(contents(Path("run")) == before)
        if not kept[-1]:
            assert open_run("run").options["hidden"] == load("run").model.hidden_size == 4
            assert command("train", "--resume", "run", "-q", "--epochs", 3).code == 0
    assert kept[:3] == [True] * 3
    assert kept == sorted(kept, reverse=True)
    assert not kept[-1]


@pytest.mark.parametrize("name", ["gone", "folder", "story.txt"])
def test_resume_refuses_what_is_not_a_run(refused: Refused, story: Path, name: str) -> None:
    Path("folder").mkdir()
    line = refused("train", "--resume", name)
    assert line == f"{name} holds no run to resume: config.toml or last.safetensors is missing"


def test_a_finished_run_says_what_to_raise(refused: Refused, command: Any, story: Path) -> None:
    command("train", story, "-o", "run", *SMALL)
    line = refused("train", "--resume", "run")
    assert line == "run is finished: 2 epochs, 18 iterations; raise --epochs or --iterations to continue"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--hidden", "9"],
            "run was started with hidden = 6 and cannot continue with 9; leave the option out",
        ),
        (["--level", "char"], "run was started with level = 'word' and cannot continue with 'char'"),
        (["-o", "other"], "--resume run names the run folder; leave out --output"),
        (["--recipe", "textbook"], "--resume RUN takes all but new limits from the run; leave out --recipe"),
        (["--overwrite"], "--resume RUN takes all but new limits from the run; leave out --overwrite"),
        (["--valid", "none"], "and cannot continue with 'none'; leave out --valid, or start a new run"),
        (["other.txt"], "there is no file, folder or named corpus"),
        (
            ["--init-from", "other"],
            "--resume RUN takes all but new limits from the run; leave out --init-from",
        ),
    ],
    ids=" ".join,
)
def test_options_that_would_make_it_another_training_are_refused(
    refused: Refused, command: Any, story: Path, options: list[str], message: str
) -> None:
    command("train", story, "-o", "run", *SMALL)
    assert message in refused("train", "--resume", "run", *options)


def test_options_edited_by_hand_and_checkpoints_of_other_runs_are_noticed(
    refused: Refused, command: Any, story: Path
) -> None:
    command("train", story, "-o", "run", *SMALL)
    command("train", story, "-o", "other", *SMALL, "--level", "char")
    config = Path("run/config.toml")
    config.write_text(config.read_text().replace("hidden = 6", "hidden = 9"))
    line = refused("train", "--resume", "run", "--epochs", 3)
    assert "run/config.toml says hidden = 9, but the checkpoint next to it has 6; restore that value" in line
    config.write_text(config.read_text().replace("hidden = 9", "hidden = 6"))
    shutil.copy("other/last.safetensors", "run/last.safetensors")
    line = refused("train", "--resume", "run", "--epochs", 3)
    assert "config.toml says level = 'word', but the checkpoint next to it has 'char'" in line


@pytest.mark.parametrize("length", [0, 7, 500, -1])
def test_a_truncated_checkpoint_is_named(refused: Refused, command: Any, story: Path, length: int) -> None:
    command("train", story, "-o", "run", *SMALL)
    last = Path("run/last.safetensors")
    last.write_bytes(last.read_bytes()[:length])
    line = refused("train", "--resume", "run", "--epochs", 3)
    assert line.startswith("run/last.safetensors is truncated or is not a model file")


def test_changed_or_missing_text_is_named(refused: Refused, command: Any, story: Path) -> None:
    command("train", story, "-o", "run", *SMALL)
    story.write_text(STORY + "one more line .\n", encoding="utf-8")
    assert "has changed since run was started; restore it" in refused(
        "train", "--resume", "run", "--epochs", 3
    )
    story.unlink()
    line = refused("train", "--resume", "run", "--epochs", 3)
    assert line == (
        f"the training text of run is no longer at {story}; if it has moved, give its new place as CORPUS"
    )
