"""The adder adds numbers longer than those it was trained on, and a unit of it holds the carry."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "examples"))

import addition

pytestmark = pytest.mark.slow


def test_the_bits_are_those_of_the_sums() -> None:
    xs, sums, carries = addition.random_sums(50, 12, np.random.default_rng(0))
    weights = 2 ** np.arange(13)
    first, second = (xs[:, :, k].astype(int) @ weights for k in (0, 1))
    np.testing.assert_array_equal(sums @ weights, first + second)
    np.testing.assert_array_equal(carries[:, 11], sums[:, 12])  # the last carry is the last bit of the sum


def test_long_sums_are_exact_and_a_unit_holds_the_carry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "carry.png"
    exact, correlation = addition.main(["--plot", str(picture)], updates=600)
    assert exact > 0.99
    assert correlation > 0.85
    assert picture.stat().st_size > 10_000
    assert "exact in every bit" in capsys.readouterr().out
