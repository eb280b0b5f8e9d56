"""The vectors of names are near each other, and those of other words are not near them."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "examples"))

import word_vectors

pytestmark = pytest.mark.slow


def test_cohesion_is_the_mean_cosine() -> None:
    cosines = word_vectors.cosines_of(np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]]))
    np.testing.assert_allclose(cosines, cosines.T)
    inside, others = word_vectors.cohesion(cosines, [0, 1])
    assert inside == pytest.approx(1)
    assert others == pytest.approx(-np.sqrt(0.5))
    assert word_vectors.neighbours(cosines, ("a", "b", "c", "d"), "a", top=1) == "b 1.00"


def test_words_of_one_kind_are_near_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "vectors.png"
    found = word_vectors.main(["--plot", str(picture)], words=60_000, epochs=2)
    for group in word_vectors.GROUPS:
        inside, others = found["predicts", group]
        assert inside > 0.4 > others + 0.3
    inside, others = found["reads", "names"]
    assert inside > 0.6 > others + 0.4
    assert picture.stat().st_size > 10_000
    report = capsys.readouterr().out
    nearest = next(line for line in report.splitlines() if line.startswith("  Tom"))
    assert set(nearest.split()[1::2]) < set(word_vectors.GROUPS["names"].split())
