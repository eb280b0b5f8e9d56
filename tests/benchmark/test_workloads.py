"""The standard workloads: their names, and the inputs of their peers."""

import numpy as np
import pytest

from elman.benchmark.workloads import QUICK, WORKLOADS, chosen, made_up, zipf
from elman.errors import ConfigError
from elman.models.parameters import plan_weights


def test_workloads_are_chosen_by_prefixes_of_their_names() -> None:
    assert [workload.name for workload in chosen(["H", "A"])] == ["A", "H-words"]
    assert tuple(workload.name for workload in chosen([])) == QUICK


@pytest.mark.parametrize("name", ["Z", "", "a"])
def test_an_unknown_workload_is_an_error_that_lists_them(name: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown workload '{name}'; choose from A, B, C"):
        chosen([name])


@pytest.mark.parametrize("name", ["A", "B", "G"])
def test_ids_and_weights_are_the_same_at_every_call(name: str) -> None:
    workload = WORKLOADS[name]
    inputs, again = made_up(workload), made_up(workload)
    np.testing.assert_array_equal(inputs.ids, again.ids)
    assert inputs.ids.min() >= 0
    assert inputs.ids.max() < workload.V
    assert len(inputs.ids) > workload.N * workload.T
    plan = plan_weights(workload.V, workload.D, workload.H, workload.cell, workload.layers)
    assert {key: weight.shape for key, weight in plan.items()} == {
        key: weight.shape for key, weight in inputs.weights.items()
    }
    for key, weight in inputs.weights.items():
        np.testing.assert_array_equal(weight, again.weights[key])


def test_the_second_id_is_half_as_frequent_as_the_first() -> None:
    counts = np.bincount(made_up(WORKLOADS["G"]).ids)
    assert counts[0] / counts[1] == pytest.approx(2, rel=0.05)
    assert zipf(7).sum() == pytest.approx(1)
