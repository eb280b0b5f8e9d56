"""``elman`` as a rank of torchrun, to which something happens at a block: $HAPPENS is "EVENT RANK ITERATION".

``killed``: the rank ends as by kill -9. ``interrupted``: torchrun receives Ctrl-C. Both only before the first restart.
"""

import os
import signal
import sys
from typing import Any

from elman.cli import main
from elman.training.progress import BlockDone
from elman.training.run import TrainingRun


def patch() -> None:
    event, rank, iteration = os.environ.get("HAPPENS", "nothing 0 0").split()
    save = TrainingRun._save_when_due

    def saving(run: TrainingRun, done: Any) -> None:
        first_life = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if isinstance(done, BlockDone) and done.iteration == int(iteration) and os.environ["RANK"] == rank:
            if event == "killed" and first_life:
                os.kill(os.getpid(), signal.SIGKILL)
            if event == "interrupted":
                os.kill(os.getppid(), signal.SIGINT)
        save(run, done)

    TrainingRun._save_when_due = saving  # type: ignore[method-assign]


if __name__ == "__main__":
    patch()
    main(sys.argv[1:])
