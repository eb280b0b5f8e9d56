"""What the demo's networks depend on: the GRU's greeting on the name read long before, the plain RNN's not."""

import sys
from pathlib import Path

import pytest

from elman.cli.demo import GRU, RNN
from elman.training.run import TrainingRun

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from influence import LINES, counts, greetings, of_name


@pytest.mark.slow
def test_another_name_changes_the_greeting_of_the_gru_and_not_that_of_the_rnn(tmp_path: Path) -> None:
    runs = [TrainingRun.create(tmp_path / config.cell, "rooms", config) for config in (GRU, RNN)]
    for run in runs:
        run.train()
    pairs = [tuple(of_name(run.text_model, *each) for run in runs) for each in greetings()]
    assert len(pairs) == LINES == 20
    assert min(counts(pairs)) >= 18
