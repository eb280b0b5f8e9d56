"""Choose the options that make best use of a time budget: measure this machine, choose, explain.

The rule itself is in `elman.training.budget`.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import msgspec

from elman.errors import ConfigError
from elman.models.base import Ids
from elman.training.budget import Speeds, Task, best, candidates, recurrent_weights, scheduled
from elman.training.config import Config
from elman.training.progress import BlockDone, Event
from elman.training.trainer import RnnlmTrainer

WARM_UP = 1  # blocks that are not timed: they also allocate buffers
WARM_UP_ON_GPU = 5  # the step is recorded after the third
NO_LIMIT = 1_000_000_000  # epochs


def seconds_per_token(
    trainer: RnnlmTrainer,
    config: Config,
    ids: Ids,
    seconds: float,
    now: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the seconds per token of a new ``trainer``, measured by training on ids (n,) for ``seconds``.

    At least two blocks are trained on, by the clock ``now``. Discard the trainer's model afterwards.

    Raises:
        TextError: the text is shorter than one block.
        TrainingDiverged: the loss explodes within these few blocks.
    """
    warm_up = WARM_UP_ON_GPU if config.device == "cuda" else WARM_UP
    times: list[float] = []

    def on_event(event: Event) -> None:
        if isinstance(event, BlockDone):
            times.append(now())
            if len(times) > warm_up and times[-1] - times[0] >= seconds:
                trainer.stop()

    trainer.fit(
        ids[:-1],
        ids[1:],
        NO_LIMIT,
        config.batch_size,
        config.time_size,
        config.clip_norm or None,
        None,
        max_value=config.clip_value or None,
        reduction=config.reduction,
        wrap=config.wrap,
        on_event=on_event,
    )
    timed = times[warm_up - 1 :]
    return (timed[-1] - timed[0]) / ((len(timed) - 1) * config.batch_size * config.time_size)


SIZES = ("cell", "wordvec", "hidden", "layers")
MEASURING_FRACTION = 0.03  # of the budget, at most
MAX_SECONDS = 5.0  # of all measurements
MEASUREMENTS = 4  # expected: the time is divided by it
MIN_SECONDS = 0.05  # of one measurement
FIRST_WIDTH = 64  # always measured: it takes a moment

Measure = Callable[[Config, float], float]  # (options, seconds to measure for) -> seconds per token


@dataclass(frozen=True)
class Choice:
    """The chosen options and the measurements behind them.

    ``chosen`` are the options that differ from the fixed defaults and were not given; ``speeds`` the measured models,
    as (layers, width, tokens per second); ``epochs`` the number of epochs expected; ``seconds`` the time spent on
    measuring.
    """

    config: Config
    chosen: dict[str, Any]
    speeds: tuple[tuple[int, int, float], ...]
    epochs: float
    tokens: int
    seconds: float

    @property
    def early(self) -> bool:
        """Whether training is expected to end before the time does, because of its number of epochs."""
        return self.epochs >= self.config.epochs

    def lines(self) -> list[str]:
        """Return three lines: the measurements, the choice and its reason, and options that repeat it."""
        speeds = ", ".join(f"{layers}×{width}: {rate:,.0f} tokens/s" for layers, width, rate in self.speeds)
        config, read = self.config, self.epochs * self.tokens
        why = f"about {self.epochs:.1f} epochs, {read / recurrent_weights(config):,.0f} tokens per recurrent weight"
        if self.early:
            why += "; this takes less than the time budget"
        size = f"{config.cell} {config.layers}×{config.hidden}"
        in_blocks = config.block == "residual"
        return [
            f"measured in {self.seconds:.1f} s: {speeds}",
            f"chosen: {size} in residual blocks ({why})" if in_blocks else f"chosen: {size} ({why})",
            " ".join(["options:", *(f"`{name}={value!r}`" for name, value in self.chosen.items())]),
        ]


def options_to_keep(
    config: Config, given: Collection[str], choose: bool | None = None
) -> frozenset[str] | None:
    """Return the options to keep while the others are chosen, or None if none are to be chosen.

    ``given`` are the options that the user set. By default (``choose`` is None) the others are chosen where there is
    a time budget and no size of the model is given.

    Raises:
        ConfigError: options are to be chosen, but there is no time budget, or the model is not recurrent.
    """
    if choose is None:
        choose = config.time_budget > 0 and config.model == "rnn" and not set(SIZES) & set(given)
    elif choose:
        _check_choosable(config)
    return frozenset(given) if choose else None


def _check_choosable(config: Config) -> None:
    if not config.time_budget:
        raise ConfigError("choosing options needs a time budget; for instance, add `time_budget=600`")
    if config.model != "rnn":
        raise ConfigError(
            f"only options of a recurrent model can be chosen, not of {config.model!r}; leave out `choose=True` "
            "or `model`"
        )


def choose(task: Task, measure: Measure, now: Callable[[], float] = time.perf_counter) -> Choice:
    """Return the options for ``task``; the time of measuring counts towards its time budget.

    A small model is measured first, then the one that the rule picks, until it picks one that has been
    measured or the time for measuring is over.

    Raises:
        ConfigError: there is no time budget, or the model is not recurrent.
    """
    _check_choosable(task.config)
    began, budget = now(), task.config.time_budget
    allowed = min(MAX_SECONDS, MEASURING_FRACTION * budget)
    models, speeds = candidates(task), Speeds(task.vocab_size)
    model = min(models, key=lambda m: (abs(m.hidden - FIRST_WIDTH), m.layers))
    measured: dict[Config, float] = {}

    def spent() -> float:
        return min(now() - began, budget / 2)  # leave half for training, however slow measuring is

    until: float | None = None
    while True:
        measured[model] = measure(model, max(allowed / MEASUREMENTS, MIN_SECONDS))
        speeds.add(model, measured[model])
        if until is None:  # the first measurement also includes one-time costs of any training
            until = now() + allowed
        model, epochs = best(task, models, speeds, budget - spent())
        two_blocks = 2 * model.batch_size * model.time_size * speeds(model)
        if model in measured or now() + two_blocks > until:
            break
    config = scheduled(task, model, epochs)
    if "time_budget" not in task.held and {"epochs", "iterations"} & task.held:
        config = msgspec.structs.replace(
            config, time_budget=0.0
        )  # a default, which only served to choose the size
    fixed, after = Config().to_dict(), config.to_dict()
    chosen = {name: after[name] for name in after if name not in task.held and after[name] != fixed[name]}
    rates = tuple((m.layers, m.hidden, 1 / seconds) for m, seconds in measured.items())
    return Choice(config, chosen, rates, epochs, task.tokens, spent())
