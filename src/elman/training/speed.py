"""How fast this machine trains a model: it trains it on a few blocks and looks at the clock."""

import time

from elman.models.base import Ids
from elman.training.config import Config
from elman.training.progress import BlockDone, Event
from elman.training.trainer import RnnlmTrainer

WARM_UP = 1  # blocks that also fill buffers and caches
WARM_UP_ON_GPU = 5  # the step is recorded after the third
WITHOUT_END = 1_000_000_000


def seconds_per_token(trainer: RnnlmTrainer, config: Config, ids: Ids, seconds: float) -> float:
    """Return the seconds that a new ``trainer`` takes for a token of ids (n,), by training for so many seconds.

    Two blocks are trained on at least. The model is of no use afterwards.

    Raises:
        TextError: the text is shorter than one block.
        TrainingDiverged: the options make the loss explode within these few blocks.
    """
    warm_up = WARM_UP_ON_GPU if config.device == "cuda" else WARM_UP
    times: list[float] = []

    def look(event: Event) -> None:
        if isinstance(event, BlockDone):
            times.append(time.perf_counter())
            if len(times) > warm_up and times[-1] - times[0] >= seconds:
                trainer.stop()

    trainer.fit(
        ids[:-1],
        ids[1:],
        WITHOUT_END,
        config.batch_size,
        config.time_size,
        config.clip_norm or None,
        None,
        max_value=config.clip_value or None,
        reduction=config.reduction,
        wrap=config.wrap,
        on_event=look,
    )
    timed = times[warm_up - 1 :]
    return (timed[-1] - timed[0]) / ((len(timed) - 1) * config.batch_size * config.time_size)
