"""The floor: the workload's matrix products alone; see `elman.benchmark.floor`."""

from elman.benchmark.floor import Floor
from inputs import Inputs
from workloads import Workload


def build(workload: Workload, inputs: Inputs, variant: str) -> Floor:
    return Floor(workload)
