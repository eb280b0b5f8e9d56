"""The forecasts of the filter are the best possible, and those of the LSTM come near where there is a pattern."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "examples"))

import time_series
from time_series import AHEAD, Series

pytestmark = pytest.mark.slow


def test_the_filter_is_exact_for_one_part() -> None:
    cycles = np.sin(np.arange(200.0))
    series = Series(cycles, phi=(0.9,), noise=(0.5,), rng=np.random.default_rng(0))
    deviations = series.values - cycles
    expected = np.roll(cycles, -24) + 0.9**24 * deviations
    np.testing.assert_allclose(series.best_forecasts()[:-24, 1], expected[:-24])


def test_the_filter_of_a_walk_seen_through_noise_is_exponential_smoothing() -> None:
    series = Series(np.zeros(300), phi=(1.0, 0.0), noise=(0.5, 1.0), rng=np.random.default_rng(0))
    before = (0.25 + np.sqrt(0.25**2 + 4 * 0.25)) / 2  # variance of the walk before a value is seen
    level, gain = 0.0, before / (before + 1)
    for value, forecasts in zip(series.values, series.best_forecasts(), strict=True):
        level += gain * (value - level)
        np.testing.assert_allclose(forecasts, [level] * len(AHEAD))


def test_forecasts_are_compared_with_the_best_possible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "week.png"
    results = time_series.main(["--plot", str(picture)], year=24 * 90, hidden=16, epochs=20)
    for errors, _, inside in results.values():
        for name in ("last value", "same hour of the day before", "LSTM"):
            assert (errors["best possible"] < 1.02 * errors[name]).all()
        assert (np.abs(inside - time_series.INSIDE) < 0.06).all()
    temperature, price = (results[name][0] for name in ("temperature", "price"))
    assert temperature["LSTM"][0] < 0.8 * temperature["last value"][0]
    assert (price["LSTM"] > 0.95 * price["last value"]).all()  # nothing to learn
    assert picture.stat().st_size > 10_000
    assert "price: even the best forecast is only" in capsys.readouterr().out
