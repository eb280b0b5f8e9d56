"""Overfitting is reported once for every best epoch, also by a resumed run; samples come at the right times."""

from pathlib import Path
from typing import Any

import pytest

from elman.formats.metrics_log import read_metrics
from elman.training.progress import (
    FIRST,
    MIN_PAUSE,
    PAUSE_PER_SAMPLE,
    EpochDone,
    Overfitting,
    OverfittingWatch,
    SampleTimer,
    events_in,
)
from elman.training.run import TrainingRun
from support.runs import in_parts, new_run, without_seconds
from support.tiny import SENTENCE


def reported(perplexities: list[tuple[float, float | None]]) -> tuple[list[int], Overfitting | None]:
    """Return the epochs at which overfitting is reported, and what is found at the end."""
    watch, said = OverfittingWatch(), []
    for epoch, (training, valid) in enumerate(perplexities, 1):
        if watch.epoch(EpochDone(epoch, 9 * epoch, training, valid, False, 0.1, 1.0)) is not None:
            said.append(epoch)
    return said, watch.found


def falling(*valid: float | None) -> list[tuple[float, float | None]]:
    return [(90.0 - k, v) for k, v in enumerate(valid)]


def test_two_rises_and_one_percent_are_reported_once() -> None:
    said, found = reported(falling(120, 110, 115, 118, 119, 117))
    assert said == [4]
    assert found == Overfitting(2, 6, 89.0, 85.0, 110, 117)


@pytest.mark.parametrize(
    "perplexities",
    [
        falling(120, 110, 115),
        falling(120, 110, 115, 114, 116, 115),
        falling(120, 110, 110.5, 111),
        falling(None, None, None, None),
        falling(120, 119, 118, 117),
        [(90, 120), (91, 125), (92, 130), (93, 140)],
        [(50, 100), (60, 110), (59, 111), (58, 112)],
        falling(float("nan"), 5, 4, 3),
        [],
    ],
    ids=[
        "one rise",
        "up and down",
        "less than a percent",
        "no validation text",
        "all is well",
        "training rises too",
        "training has not fallen since the best",
        "no number at first",
        "nothing",
    ],
)
def test_what_is_no_overfitting(perplexities: Any) -> None:
    assert reported(perplexities) == ([], None)


def test_a_slow_rise_is_reported_once_it_is_a_percent() -> None:
    assert reported(falling(100, 100.4, 100.8, 101.2))[0] == [4]


def test_a_new_best_ends_it_and_starts_again() -> None:
    said, found = reported(falling(100, 105, 110, 99, 105, 110, 111))
    assert said == [3, 6]
    assert found is not None
    assert (found.best_epoch, found.epoch) == (4, 7)
    assert reported(falling(100, 105, 110, 99))[1] is None


OPTIONS: dict[str, Any] = {"lr": 0.05, "epochs": 12, "hidden": 20}


@pytest.fixture
def valid(tmp_path: Path) -> str:
    (tmp_path / "valid.txt").write_text(SENTENCE + "ann was in the garden and said hi .\n", encoding="utf-8")
    return str(tmp_path / "valid.txt")


def test_a_run_records_overfitting_and_reports_it_as_an_event(tmp_path: Path, valid: str) -> None:
    events: list[Any] = []
    run = new_run(tmp_path / "run", valid=valid, **OPTIONS)
    run.train(events.append)
    found = [event for event in events if isinstance(event, Overfitting)]
    lines = [line for line in read_metrics(run.folder) if line["kind"] == "overfitting"]
    assert found
    assert [line["epoch"] for line in lines] == [event.epoch for event in found]
    assert run.overfitting.found is not None
    assert run.overfitting.found.epoch == 12
    assert [event.epoch for event in events_in(read_metrics(run.folder), EpochDone)] == list(range(1, 13))


def test_a_resumed_run_reports_the_same(tmp_path: Path, valid: str) -> None:
    whole = new_run(tmp_path / "whole", valid=valid, **OPTIONS)
    whole.train()
    parts = in_parts(new_run(tmp_path / "parts", valid=valid, **OPTIONS), {9, 28, 40, 47, 73, 100})
    assert without_seconds(parts.folder) == without_seconds(whole.folder)
    assert parts.overfitting.found == whole.overfitting.found


def test_damaged_metrics_do_not_prevent_resuming(tmp_path: Path, valid: str) -> None:
    run = new_run(tmp_path / "run", valid=valid, iterations=20)
    run.train()
    path = run.folder / "metrics.jsonl"
    path.write_bytes(b"x" * 30 + path.read_bytes()[30:])
    assert TrainingRun.resume(run.folder).overfitting.found is None


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def draw(timer: SampleTimer, clock: Clock, iteration: int, seconds: float) -> None:
    timer.drawing()
    clock.now += seconds
    timer.drawn(iteration)


def test_samples_by_number_of_blocks() -> None:
    timer = SampleTimer(5)
    timer.start()
    assert [k for k in range(1, 16) if timer.due(k)] == [5, 10, 15]


@pytest.mark.parametrize(("seconds", "pause"), [(0.01, MIN_PAUSE), (1.0, PAUSE_PER_SAMPLE * 1.0)])
def test_samples_by_the_clock(clock: Clock, seconds: float, pause: float) -> None:
    timer = SampleTimer(clock=clock)
    assert not timer.due(1)
    timer.start()
    assert not timer.due(1)
    clock.now += FIRST
    assert timer.due(2)
    draw(timer, clock, 2, seconds)
    clock.now += pause - 0.001
    assert not timer.due(3)
    clock.now += 0.002
    assert timer.due(3)


def test_an_iteration_has_at_most_one_sample(clock: Clock) -> None:
    timer = SampleTimer(1, clock)
    draw(timer, clock, 7, 0.1)
    assert not timer.due(7)
    assert timer.due(8)


def test_a_run_by_the_clock_ends_with_a_sample_of_the_final_model(clock: Clock) -> None:
    timer, counting = SampleTimer(clock=clock), SampleTimer(5, clock)
    assert timer.due_at_end(3, finished=False)
    for each in (timer, counting):
        draw(each, clock, 7, 0.1)
        assert not each.due_at_end(7, finished=True)
        assert not each.due_at_end(9, finished=False)
    assert timer.due_at_end(9, finished=True)
    assert not counting.due_at_end(9, finished=True)
