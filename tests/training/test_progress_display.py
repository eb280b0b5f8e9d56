"""What is shown on standard error while a text is encoded and a model trains."""

import io
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import elman
from elman.training import progress_display
from elman.training.progress import Overfitting
from elman.training.progress_display import encoding_bar, overfitting_line
from support.tiny import STORY

SMALL = {"hidden": 6, "wordvec": 5, "batch_size": 2, "time_size": 4, "epochs": 4}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Put a terminal in the place of standard error, from the call on, and return it."""

    def install() -> Terminal:
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return install


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that progress bars read: a list whose only number is the second."""
    now = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    return now


def test_a_terminal_shows_a_live_bar(tmp_path: Path, terminal: Callable[[], Terminal]) -> None:
    shown = terminal()
    elman.train(STORY.splitlines(), tmp_path / "run", progress=True, options=SMALL)
    last = shown.getvalue().split("\r")[-1]
    assert "100%" in last
    assert "36/36" in last
    assert "perplexity " in last
    assert " tokens/s" in last
    assert "<" in last  # between the elapsed and the remaining time


def test_log_messages_appear_above_the_bar(tmp_path: Path, terminal: Callable[[], Terminal]) -> None:
    shown, logger = terminal(), logging.getLogger("elman")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        elman.train(STORY.splitlines(), tmp_path / "run", progress=True, options=SMALL)
        assert logger.handlers == [handler]
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    written = [line for line in re.split(r"[\r\n]", shown.getvalue()) if "epoch" in line]
    assert [line.split(":")[0] for line in written] == [f"INFO epoch {k}" for k in (1, 2, 3, 4)]


def test_without_progress_there_is_no_bar(tmp_path: Path, terminal: Callable[[], Terminal]) -> None:
    shown = terminal()
    elman.train(STORY.splitlines(), tmp_path / "run", options=SMALL)
    assert shown.getvalue() == ""


def test_a_large_model_says_how_much_memory_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "elman"):
        elman.train(STORY.splitlines(), tmp_path / "small", options=SMALL)
        assert "of memory" not in caplog.text
        monkeypatch.setattr(progress_display, "WORTH_SAYING", 1)
        elman.train(STORY.splitlines(), tmp_path / "large", options=SMALL)
    assert "at least 0.0 GB of memory, for the weights" in caplog.text


def test_fast_encoding_shows_no_bar(terminal: Callable[[], Terminal], clock: list[float]) -> None:
    shown, show = terminal(), encoding_bar(True)
    assert show is not None
    for done in (10, 60, 100):
        clock[0] += 0.3
        show(done, 100)
    assert shown.getvalue() == ""


def test_slow_encoding_shows_a_bar(terminal: Callable[[], Terminal], clock: list[float]) -> None:
    shown, show = terminal(), encoding_bar(True)
    assert show is not None
    for done in (10, 60, 100):
        clock[0] += 2
        show(done, 100)
    assert "encoding:  60%" in shown.getvalue()


def test_a_bar_that_is_not_wanted_is_none() -> None:
    assert encoding_bar(False) is None


def test_overfitting_is_described_with_both_perplexities() -> None:
    found = Overfitting(
        epoch=5,
        best_epoch=3,
        best_valid_perplexity=9.04,
        valid_perplexity=37.7,
        best_training_perplexity=10.2,
        training_perplexity=1.44,
    )
    assert overfitting_line(found) == (
        "overfitting since epoch 4: validation 9.0 → 37.7 while training fell 10.2 → 1.4; "
        "the model of epoch 3 is kept; try `dropout`, `weight_decay`, a smaller model or `patience=3`"
    )
