"""The benchmark of large vocabularies, on a small one."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from large_vocabulary import PARTS, Step, build, measure, rows_of, zipf_ids


def test_ids_are_as_frequent_as_their_ranks_say() -> None:
    V = 50
    ids, ranks = zipf_ids(V, 20_000, np.random.default_rng(0))
    counts = np.bincount(ranks[ids], minlength=V)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.15)
    assert (ranks != np.arange(V)).any()


@pytest.mark.slow
@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_a_step_trains(softmax: str) -> None:
    step: Step = build(softmax, 300, 4, 5)
    assert (step.model.adaptive is not None) == (softmax == "adaptive")
    for _ in range(25):  # more than one reading of the text
        step()
    assert step.losses[0] == pytest.approx(np.log(300), rel=0.1)
    assert np.mean(step.losses[-5:]) < step.losses[0]
    assert [len(step.seconds[part]) for part in PARTS] == [25] * 4


def test_both_are_measured_side_by_side() -> None:
    members = measure(300, 2, 3, ["full", "adaptive"], rounds=2, seconds=0.0, warm_up=0.0)
    full, adaptive = rows_of(300, 2, 3, members)
    assert full[:3] == ["300", "N 2, T 3", "full"]
    assert adaptive[:3] == ["300", "N 2, T 3", "adaptive"]
    assert full[4] == "1.0×"
    assert adaptive[4] == f"{members[0].seconds / members[1].seconds:.1f}×"
    assert all(len(member.rounds) == 2 for member in members)
    assert members[0].answer["losses"] != members[1].answer["losses"]
