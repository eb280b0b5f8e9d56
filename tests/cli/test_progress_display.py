"""What is shown on standard error while a text is encoded and a model trains."""

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

from elman.cli.progress_display import encoding_bar, overfitting_line
from elman.training.progress import Overfitting
from support.command_line import SMALL


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


def test_a_terminal_shows_a_live_bar(command: Any, story: Any, terminal: Callable[[], Terminal]) -> None:
    shown = terminal()
    assert command("train", story, "-o", "run", *SMALL, "--epochs", 4).code == 0
    last = shown.getvalue().split("\r")[-1]
    assert "100%" in last
    assert "36/36" in last
    assert "perplexity " in last
    assert " tokens/s" in last
    assert "<" in last  # between the elapsed and the remaining time


def test_fast_encoding_shows_no_bar(terminal: Callable[[], Terminal], clock: list[float]) -> None:
    shown, show = terminal(), encoding_bar(quiet=False)
    assert show is not None
    for done in (10, 60, 100):
        clock[0] += 0.3
        show(done, 100)
    assert shown.getvalue() == ""


def test_slow_encoding_shows_a_bar(terminal: Callable[[], Terminal], clock: list[float]) -> None:
    shown, show = terminal(), encoding_bar(quiet=False)
    assert show is not None
    for done in (10, 60, 100):
        clock[0] += 2
        show(done, 100)
    assert "encoding:  60%" in shown.getvalue()


def test_quiet_shows_no_bar() -> None:
    assert encoding_bar(quiet=True) is None


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
        "the model of epoch 3 is kept; try --dropout, --weight-decay, a smaller model or --patience 3"
    )
