"""The floor: the work's matrix products alone; see `elman.bench.floor`."""

from elman.bench.floor import Floor
from inputs import Inputs
from works import Work


def build(work: Work, inputs: Inputs, variant: str) -> Floor:
    return Floor(work)
