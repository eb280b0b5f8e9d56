"""Choose the options that make best use of a time budget: measure, choose, explain.

How fast this machine trains a model: it trains it on a few blocks and looks at the clock.

The options that a time budget is best spent on: measure, choose, and say why.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from elman.errors import ConfigError
from elman.models.base import Ids
from elman.training.budget import Speeds, Task, best, candidates, recurrent_weights, scheduled
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


SIZES = ("cell", "wordvec", "hidden", "layers")
SHARE = 0.03  # of the budget that may go into measuring …
MOST_SECONDS = 5.0  # … and never more than this
MEASUREMENTS = 4  # that this time is shared among
LEAST_SECONDS = 0.05  # of one measurement
FIRST_WIDTH = 64  # measured whatever the budget: it takes a moment

Measure = Callable[[Config, float], float]  # options and seconds to measure for -> seconds a token


@dataclass(frozen=True)
class Choice:
    """What was chosen, and from what.

    ``chosen`` are the options that are not the user's; ``speeds`` the models measured, as (layers, width,
    tokens per second); ``epochs`` is how often the text is expected to be read; ``seconds`` went into measuring.
    """

    config: Config
    chosen: dict[str, Any]
    speeds: tuple[tuple[int, int, float], ...]
    epochs: float
    tokens: int
    seconds: float

    @property
    def early(self) -> bool:
        """True where the text is expected to be learnt before the time is over."""
        return self.epochs >= self.config.epochs

    def lines(self) -> list[str]:
        """Return in a few lines what was measured, what was chosen and why, and as options to repeat it by."""
        speeds = ", ".join(f"{layers}×{width}: {rate:,.0f} tokens/s" for layers, width, rate in self.speeds)
        config, read = self.config, self.epochs * self.tokens
        why = f"about {self.epochs:.1f} epochs, {read / recurrent_weights(config):,.0f} tokens a recurrent weight"
        if self.early:
            why += "; the text is read so often before the time is over"
        return [
            f"measured in {self.seconds:.1f} s: {speeds}",
            f"chosen: {config.cell} {config.layers}×{config.hidden} ({why})",
            " ".join(["options:", *(_flag(name, value) for name, value in self.chosen.items())]),
        ]


def held_options(config: Config, given: Collection[str], choose: bool | None = None) -> frozenset[str] | None:
    """Return the options to hold while the others are chosen, or None where a time budget is only a limit.

    ``given`` are the options that the user named. Without a word on it (None) the others are chosen where
    there is a time budget and the model's size is not given.

    Raises:
        ConfigError: they are to be chosen, but there is no time budget, or the model is no recurrent one.
    """
    if choose is None:
        choose = config.time_budget > 0 and config.model == "rnn" and not set(SIZES) & set(given)
    elif choose:
        _check_choosable(config)
    return frozenset(given) if choose else None


def _check_choosable(config: Config) -> None:
    if not config.time_budget:
        raise ConfigError("what to choose depends on the time there is; add --time-budget 10m, say")
    if config.model != "rnn":
        raise ConfigError(
            f"only a recurrent model can be chosen, not {config.model!r}; leave out --choose or --model"
        )


def choose(task: Task, measure: Measure, now: Callable[[], float] = time.perf_counter) -> Choice:
    """Return the options for ``task``, whose time budget the measuring is part of.

    A small model is measured first, then the one that the rule picks, until it picks one that has been
    measured already or the time for measuring is over.

    Raises:
        ConfigError: there is no time budget, or the model is no recurrent one.
    """
    _check_choosable(task.config)
    began, budget = now(), task.config.time_budget
    allowed = min(MOST_SECONDS, SHARE * budget)
    models, speeds = candidates(task), Speeds(task.vocab_size)
    model = min(models, key=lambda m: (abs(m.hidden - FIRST_WIDTH), m.layers))
    measured: dict[Config, float] = {}

    def spent() -> float:
        return min(now() - began, budget / 2)  # however slow the start, there is to be a model in the end

    until: float | None = None
    while True:
        measured[model] = measure(model, max(allowed / MEASUREMENTS, LEAST_SECONDS))
        speeds.note(model, measured[model])
        if until is None:  # the first measurement also loaded what any training needs
            until = now() + allowed
        model, epochs = best(task, models, speeds, budget - spent())
        two_blocks = 2 * model.batch_size * model.time_size * speeds(model)
        if model in measured or now() + two_blocks > until:
            break
    config = scheduled(task, model, epochs)
    before, after = task.config.to_dict(), config.to_dict()
    chosen = {name: value for name, value in after.items() if value != before[name]}
    rates = tuple((m.layers, m.hidden, 1 / seconds) for m, seconds in measured.items())
    return Choice(config, chosen, rates, epochs, task.tokens, spent())


def _flag(name: str, value: Any) -> str:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {value}"
