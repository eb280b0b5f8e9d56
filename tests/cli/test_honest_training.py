"""`elman train` with validation texts: held out, overlapping the training text, and overfitting."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.formats.metrics_log import read_metrics
from support.command_line import SMALL
from support.tiny import SENTENCE, STORY

Refused = Callable[..., str]
OVERFIT = (*SMALL, "--hidden=20", "--lr=0.05", "--epochs=12")


@pytest.fixture
def other() -> str:
    Path("other.txt").write_text(SENTENCE + "ann was in the garden and said hi .\n", encoding="utf-8")
    return "other.txt"


@pytest.fixture
def long_story(tmp_path: Path) -> Path:
    path = tmp_path / "long.txt"
    path.write_text("".join(STORY.replace("was", f"was {k} times") for k in range(10)), encoding="utf-8")
    return path


def test_the_end_of_the_text_is_held_out(command: Any, long_story: Path) -> None:
    outcome = command("train", long_story, "-o", "run", *SMALL, "--valid", "auto")
    assert outcome.code == 0, outcome.err
    assert "  held out for validation: the 42 tokens after these\n" in outcome.err
    assert "best validation perplexity" in outcome.out
    assert 'valid = "auto"' in Path("run/config.toml").read_text("utf-8")
    again = command("train", "--resume", "run", "--epochs", 3)
    assert "the 42 tokens after these" in again.err
    epochs = [line for line in read_metrics(Path("run")) if line["kind"] == "epoch"]
    assert [line["valid_perplexity"] is not None for line in epochs] == [True] * 3
    counted = command("train", long_story, "-o", "counted", "--model", "ngram", "--valid", "auto")
    assert "the 42 tokens after these" in counted.err


def test_it_can_come_from_standard_input(command: Any, long_story: Path) -> None:
    piped = command("train", "-", "-o", "run", *SMALL, "--valid", "auto", stdin=long_story.read_bytes())
    assert piped.code == 0, piped.err
    assert command("train", "--resume", "run", "--epochs", 3).code == 0


@pytest.mark.parametrize("model", ["rnn", "ngram"])
def test_overlapping_validation_text_needs_allow_overlap(
    command: Any, refused: Refused, story: Path, model: str
) -> None:
    arguments = ("train", story, "-o", "run", "--model", model, "--valid", story)
    line = refused(*arguments)
    assert line.startswith(
        f"the validation text {story} repeats the training text: at least 3 of its 4 "
    ) or (line.startswith(f"the validation text {story} repeats the training text: at least 4 of its 4 "))
    assert "--valid none" in line
    assert "--allow-overlap" in line
    assert not Path("run").exists()
    small = SMALL if model == "rnn" else ()
    outcome = command(*arguments, *small, "--allow-overlap")
    assert outcome.code == 0
    assert f"elman: the validation text {story} repeats the training text" in outcome.err


def test_overfitting_is_reported_when_it_begins_and_at_the_end(command: Any, story: Path, other: str) -> None:
    outcome = command("train", story, "-o", "run", *OVERFIT, "--valid", other)
    lines = [line for line in outcome.err.splitlines() if "overfitting since epoch " in line]
    kinds = [line["kind"] for line in read_metrics(Path("run"))]
    assert len(lines) == 1 + kinds.count("overfitting") == 2
    assert outcome.err.splitlines()[-1] == lines[-1]
    for line in lines:
        assert " → " in line
        assert line.endswith("try --dropout, --weight-decay, a smaller model or --patience 3")
    quiet = command("train", story, "-o", "again", *OVERFIT, "--valid", other, "-q")
    assert quiet.err.splitlines() == lines[-1:]
    assert lines[-1].startswith("elman: overfitting since epoch ")


def test_averaging_and_weight_decay_are_options(
    command: Any, refused: Refused, story: Path, other: str
) -> None:
    chosen = ("--weight-decay", 0.1, "--averaging", "tail", "--averaging-share", 0.5)
    assert command("train", story, "-o", "run", *SMALL, *chosen, "--valid", other).code == 0
    stored = Path("run/config.toml").read_text("utf-8")
    for line in ("weight_decay = 0.1", 'averaging = "tail"', "averaging_share = 0.5"):
        assert line in stored
    assert "applies only to --averaging triggered" in refused(
        "train", story, "-o", "b", *SMALL, "--averaging-patience", 3
    )
    assert "must be in [0, 1), got 0.002 · 1000" in refused(
        "train", story, "-o", "b", *SMALL, "--weight-decay", 1000
    )
    assert "cannot continue with 0.2" in refused("train", "--resume", "run", "--weight-decay", 0.2)
    assert not Path("b").exists()
