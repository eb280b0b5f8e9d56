"""`elman train`: its files, its output, and resuming."""

import io
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.formats.metrics_log import read_metrics
from elman.training.progress_display import ProgressDisplay
from support.command_line import SMALL, contents
from support.processes import interruptible
from support.tiny import STORY

Refused = Callable[..., str]
FILES = {"config.toml", "last.safetensors", "metrics.jsonl", "model.safetensors"}


def test_a_run_is_a_folder_of_four_files_and_one_line_of_result(command: Any, story: Path) -> None:
    outcome = command("train", story, "-o", "a/run", *SMALL)
    assert outcome.code == 0
    assert contents(Path("a/run")).keys() == FILES
    (line,) = outcome.out.splitlines()
    assert line.startswith("a/run: best training perplexity ")
    assert " per word (epoch 2), " in line


def test_progress_goes_to_standard_error_with_a_line_an_epoch(command: Any, story: Path) -> None:
    errors = command("train", story, "-o", "run", *SMALL).err.splitlines()
    assert errors[0].startswith(f"{story}: 77 tokens (words), vocabulary 24, ")
    epochs = [line for line in errors if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in epochs] == ["epoch 1", "epoch 2"]
    assert "perplexity" in epochs[0]
    assert "learning rate 0.002" in epochs[0]


def test_a_terminal_shows_a_bar_below_the_lines(
    command: Any, story: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    assert command("train", story, "-o", "run", *SMALL).code == 0
    written = re.split(r"[\r\n]+", shown.getvalue())
    assert [line[:8] for line in written if "epoch" in line] == ["epoch 1:", "epoch 2:"]
    assert "100%" in written[-2]


def test_without_an_output_the_folder_is_named_after_the_text(command: Any, story: Path) -> None:
    first, second = (command("train", story, *SMALL) for _ in range(2))
    assert first.out.startswith("runs/story: best training perplexity ")
    assert second.err.startswith("run folder: runs/story-2\n")


def test_a_validation_text_is_measured_after_every_epoch(command: Any, story: Path) -> None:
    outcome = command("train", story, "-o", "run", *SMALL, "--valid", story, "--allow-overlap")
    assert outcome.err.count(", validation ") == 2
    assert "best validation perplexity" in outcome.out


def test_samples_are_shown_now_and_then(command: Any, story: Path) -> None:
    outcome = command("train", story, "-o", "run", *SMALL, "--sample-every", 9, "--sample-length", 5)
    titles = [line for line in outcome.err.splitlines() if line.startswith("---- iteration ")]
    assert [line.split(",")[0] for line in titles] == [
        "---- iteration 0",
        "---- iteration 9",
        "---- iteration 18",
    ]
    assert "smooth loss" in titles[0]
    assert "----" not in outcome.out


def test_quiet_prints_only_the_result(command: Any, story: Path) -> None:
    outcome = command("train", story, "-o", "run", *SMALL, "-q", "--sample-every", 1)
    assert outcome.err == ""
    assert outcome.out.startswith("run: best training perplexity")


def test_named_corpus_shows_reference_perplexities(command: Any) -> None:
    outcome = command("train", "rooms", "-o", "run", *SMALL, "--iterations", 2, "--batch-size", 50)
    assert "lowest possible perplexity on the validation text: 1.6" in outcome.err
    assert "3-gram perplexity on the validation text: 2.2" in outcome.err
    assert "best validation perplexity" in outcome.out


def test_a_validation_text_of_unknown_tokens_only_is_refused(refused: Refused, story: Path) -> None:
    Path("other.txt").write_text("가나다", encoding="utf-8")
    line = refused("train", story, "-o", "run", *SMALL, "--level", "char", "--valid", "other.txt")
    assert "has no token of the validation text other.txt; choose another validation text, or 'none'" in line
    assert not Path("run").exists()


def test_where_no_perplexity_is_finite_the_last_model_is_named(
    command: Any, story: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elman.training.run.TrainingRun._keep_best", lambda run, event: None)
    outcome = command("train", story, "-o", "run", *SMALL)
    assert outcome.out == "run: no epoch had a finite perplexity; last.safetensors holds the last model\n"


# Resuming


def test_run_is_resumed(command: Any, story: Path) -> None:
    command("train", story, "-o", "run", *SMALL)
    outcome = command("train", "--resume", "run", "--epochs", 4)
    assert outcome.code == 0
    assert "resuming after iteration 18 (epoch 3)" in outcome.err
    assert [line["epoch"] for line in read_metrics(Path("run")) if line["kind"] == "epoch"] == [1, 2, 3, 4]


def test_a_resumed_run_prints_its_best_perplexity(command: Any, story: Path) -> None:
    command("train", story, "-o", "run", *SMALL)
    outcome = command("train", "--resume", "run", "--epochs", 3, "--sample-every", 5)
    assert outcome.code == 0
    assert outcome.out.startswith("run: best training perplexity ")


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_saves_and_says_how_to_resume(
    command: Any, story: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    show = ProgressDisplay._show_block

    def interrupt(watcher: Any, event: Any) -> None:
        show(watcher, event)
        if event.iteration == 5:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch, interruptible():
        patch.setattr(ProgressDisplay, "_show_block", interrupt)
        outcome = command("train", story, "-o", "run", *SMALL)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert outcome.code == 130
    assert "Traceback" not in outcome.err
    if times == 1:
        assert outcome.err.endswith(
            "stopped and saved after iteration 5; continue with:\n  elman train --resume run\n"
        )
    assert command("train", "--resume", "run").code == 0


def test_standard_input_is_saved_in_the_run_and_resumed(command: Any, tmp_path: Path) -> None:
    piped = ("train", "-", "-o", "run", *SMALL)
    assert command(*piped, stdin=STORY.encode()).code == 0
    (kept,) = contents(Path("run")).keys() - FILES
    assert Path("run", kept).read_text(encoding="utf-8") == STORY
    assert command("train", "--resume", "run", "--epochs", 3).code == 0
    before = contents(Path("run"))
    for stdin, options in (
        (b"other words", ["--overwrite"]),
        (b"caf\xe9", ["--overwrite"]),
        (STORY.encode(), []),
    ):
        assert command(*piped, *options, stdin=stdin).code == 1
        assert contents(Path("run")) == before
    assert command(*piped, "--overwrite", stdin=STORY.encode() * 2).code == 0
    (other,) = contents(Path("run")).keys() - FILES
    assert other != kept


def test_a_run_starts_from_another(command: Any, story: Path) -> None:
    command("train", story, "-o", "run", *SMALL)
    story.write_text(STORY.replace("tom", "tim"), encoding="utf-8")
    training = ("--batch-size", 2, "--time-size", 4, "--epochs", 1, "-q")
    outcome = command("train", story, "-o", "new", "--init-from", "run", *training)
    assert outcome.code == 0
    assert outcome.err.splitlines() == [
        f"elman: 3 of the 77 tokens of {story} are left out: the vocabulary lacks them, and has no token for unknown "
        "ones; to add them to the vocabulary, set --extend-vocab",
    ]
    outcome = command("train", story, "-o", "more", "--init-from", "run", "--extend-vocab", *training[:-1])
    assert outcome.err.splitlines()[0] == "starts from run; new tokens: 1"
    assert "elman: " not in outcome.err


def test_a_run_whose_text_has_moved_is_resumed(command: Any, story: Path) -> None:
    command("train", story, "-o", "run", *SMALL)
    story.rename("moved.txt")
    assert command("train", "--resume", "run", "--corpus", "moved.txt", "--epochs", 4).code == 0
    assert command("train", "--resume", "run", "--epochs", 5).code == 0


def test_runs_may_lie_in_the_folder_that_they_are_trained_on(command: Any, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(STORY, encoding="utf-8")
    for run in ("one", "two"):
        outcome = command("train", ".", "-o", run, *SMALL)
        assert outcome.code == 0
        assert ".: 77 tokens (words)" in outcome.err
    assert command("train", "--resume", "one", "--epochs", 3).code == 0
