"""The peer that stands for PyTorch in `elman bench` does what elman does."""

from dataclasses import replace

import numpy as np
import pytest

from elman.benchmark import ours
from elman.benchmark.workloads import WORDS_A_STEP, WORKLOADS, made_up

pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_losses_are_the_same(name: str) -> None:
    from elman.benchmark import pytorch

    work = WORKLOADS[name]
    first = 10 * WORDS_A_STEP
    work = replace(work, V=11, D=work.D and 6, H=5, N=min(work.N, 3), T=4, first=first)
    inputs = made_up(work)
    losses, tokens = pytorch.build(work, inputs).run(5)
    expected, counted = ours.build(work, inputs).run(5)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert tokens == counted
