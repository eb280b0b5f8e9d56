"""benchmarks/instead.py: every model of it is trained and measured on the same tokens."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import instead  # noqa: E402


def test_every_model_is_trained_and_measured(tmp_path: Path) -> None:
    instead.main(["--corpus", "tinyshakespeare", "--quick", "--threads", "1", "-o", str(tmp_path)])
    results = json.loads((tmp_path / "tinyshakespeare-quick.json").read_text(encoding="utf-8"))
    assert set(results) == set(instead.MODELS)
    assert all(0 < result["test"] < math.log(300) for result in results.values())
    assert (tmp_path / "tinyshakespeare-quick.png").stat().st_size > 1000


@pytest.mark.parametrize("length", [2, 4, 5, 8, 9, 13, 40])
def test_the_windows_predict_every_token_once(length: int) -> None:
    windows = list(instead.half_new_windows(np.arange(length), 8, together=2))
    targets = [token for window, first in windows for row in window for token in row[1 + first :]]
    assert targets == list(range(1, length))
    assert max(window.shape[1] for window, _ in windows) <= 9
