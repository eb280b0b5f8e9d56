"""Learning-rate schedules."""

import json
import math

import pytest

from elman.errors import ConfigError
from elman.training.config import Config
from elman.training.schedules import SCHEDULES, Constant, Cosine, Plateau, Schedule


def test_constant_is_1() -> None:
    schedule = Constant()
    schedule.epoch_end(5.0)
    schedule.epoch_end(50.0)
    assert [schedule.factor(p) for p in (0, 0.5, 1)] == [1, 1, 1]


def test_plateau_divides_after_every_epoch_without_gain() -> None:
    schedule = Plateau()
    factors = []
    for perplexity in (100, 90, 95, 90, 89.9, 89.9):
        schedule.epoch_end(perplexity)
        factors.append(schedule.factor(0.5))
    assert factors == [1, 1, 1 / 4, 1 / 16, 1 / 16, 1 / 64]


def test_a_nan_perplexity_is_not_an_improvement() -> None:
    schedule = Plateau(divisor=2)
    schedule.epoch_end(math.nan)
    assert schedule.factor(0) == 0.5


def test_cosine_goes_from_1_to_its_floor() -> None:
    schedule = Cosine(floor=0.1)
    assert schedule.factor(0) == 1
    assert schedule.factor(0.5) == pytest.approx(0.55)
    assert schedule.factor(1) == pytest.approx(0.1)
    assert schedule.factor(1.5) == pytest.approx(0.1)  # a time budget that was overrun
    factors = [schedule.factor(k / 50) for k in range(51)]
    assert factors == sorted(factors, reverse=True)


def test_cosine_warms_up() -> None:
    schedule = Cosine(warmup=0.2)
    assert 0 < schedule.factor(0) < 0.02
    assert schedule.factor(0.1) == pytest.approx(0.5)
    assert schedule.factor(0.2) == pytest.approx(1)
    assert schedule.factor(0.6) == pytest.approx(0.505)


@pytest.mark.parametrize("name", SCHEDULES)
def test_continues_from_its_state(name: str) -> None:
    for perplexities in ((), (9.0,), (9.0, 9.5)):
        begun: Schedule = SCHEDULES[name]()
        for perplexity in perplexities:
            begun.epoch_end(perplexity)
        kept = json.loads(json.dumps(begun.state(), allow_nan=False))
        again: Schedule = SCHEDULES[name]()
        again.restore(kept)
        for perplexity in (9.2, 8.0, 8.5):
            begun.epoch_end(perplexity)
            again.epoch_end(perplexity)
            assert again.factor(0.3) == begun.factor(0.3)
        assert again.state() == begun.state()


@pytest.mark.parametrize("options", [{"floor": -0.1}, {"floor": 1.1}, {"warmup": 1.0}, {"warmup": -0.1}])
def test_a_cosine_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"floor must be in \[0, 1\] and warmup in \[0, 1\)"):
        Cosine(**options)


@pytest.mark.parametrize("divisor", [1.0, 0.5])
def test_a_plateau_must_divide(divisor: float) -> None:
    with pytest.raises(ConfigError, match="must be > 1"):
        Plateau(divisor)


def test_every_schedule_is_an_option() -> None:
    for name in SCHEDULES:
        assert Config.of({"schedule": name}, "here").schedule == name
