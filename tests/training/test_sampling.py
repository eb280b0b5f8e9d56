"""When a run writes a sample: by blocks where it is told so, else by the clock, and never for much of the time."""

import pytest

from elman.training import sampling
from elman.training.sampling import BETWEEN, COST, FIRST, SampleTimer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(sampling.time, "monotonic", found.monotonic)
    return found


def draw(timer: SampleTimer, clock: Clock, iteration: int, seconds: float) -> None:
    timer.drawing()
    clock.now += seconds
    timer.drawn(iteration)


def test_by_blocks() -> None:
    timer = SampleTimer(5)
    timer.start()
    assert [k for k in range(1, 16) if timer.due(k)] == [5, 10, 15]


@pytest.mark.parametrize(("seconds", "pause"), [(0.01, BETWEEN), (1.0, COST * 1.0)])
def test_by_the_clock(clock: Clock, seconds: float, pause: float) -> None:
    timer = SampleTimer()
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


def test_an_iteration_has_one_sample(clock: Clock) -> None:
    timer = SampleTimer(1)
    draw(timer, clock, 7, 0.1)
    assert not timer.due(7)
    assert timer.due(8)


def test_a_run_by_the_clock_ends_with_a_sample_of_what_it_became(clock: Clock) -> None:
    timer, counting = SampleTimer(), SampleTimer(5)
    assert timer.wanting(3, finished=False)
    for each in (timer, counting):
        draw(each, clock, 7, 0.1)
        assert not each.wanting(7, finished=True)
        assert not each.wanting(9, finished=False)
    assert timer.wanting(9, finished=True)
    assert not counting.wanting(9, finished=True)
