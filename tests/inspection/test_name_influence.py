"""What the demo's networks depend on: the GRU's greeting on the name read long before, the plain RNN's not."""

import sys
from pathlib import Path
from statistics import mean

import pytest

from elman.cli.demo import GRU, RNN
from elman.training.run import TrainingRun

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from influence import LINES, greetings, of_name


@pytest.mark.slow
def test_another_name_changes_the_greeting_of_the_gru_and_not_that_of_the_rnn(tmp_path: Path) -> None:
    runs = [TrainingRun.create(tmp_path / config.cell, "rooms", config) for config in (GRU, RNN)]
    for run in runs:
        run.train()
    gru, rnn = ([of_name(run.text_model, *each).bits for each in greetings()] for run in runs)
    assert len(gru) == LINES == 20
    # Another processor rounds differently and so trains another network: of these lines the GRU had over 5 bits in
    # 7 to 20 with 12 seeds, and the RNN under 0.5 in 18 to 20.
    assert mean(gru) > max(1, 5 * mean(rnn))
    assert mean(rnn) < 0.6
