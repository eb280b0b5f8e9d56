"""Which model a time is worth: the rule, as pure functions of a text's sizes and of measured speeds.

Two things bound a model from above. The time: a layer of W weights is worth its cost once about
`READ_PER_WEIGHT`·W tokens can be read to train it. And the text: with far more weights than tokens it is
learnt by heart, and after `MOST_EPOCHS` readings nothing more is to be had. The largest model within both bounds is
taken, and dropout rises with the number of epochs that it will see.
"""

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import msgspec

from elman.models.parameters import GATES
from elman.training.config import Config
from elman.training.corpora import RunCorpora

WIDTHS = (16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024)
READ_PER_WEIGHT = 10  # tokens to be read for every weight of the recurrent layers
WEIGHTS_PER_TOKEN = 4  # of the text, at most
MOST_EPOCHS = 40
DEEP_FROM = 10  # epochs from which on a second layer pays
NARROWEST_DEEP = 128
TIED_FROM = 1_000  # tokens of the vocabulary; below it the output matrix is a small part of the model
ADAPTIVE_FROM = 20_000  # from here on most of the time would go into the softmax
NARROW_INPUT = 64  # for vocabularies that are not tied
# Below so many recurrent weights: sequences and steps. Small models see few blocks, and gain more from more of them.
WORD_BLOCKS = ((100_000, 10, 20), (300_000, 20, 20), (math.inf, 20, 35))
CHARACTER_BLOCKS = ((300_000, 16, 32), (math.inf, 32, 64))
LEAST_BLOCKS = 20  # an epoch
EVALUATION_COST = 0.5  # of a token that is only read, against one that is learnt from
DROPOUT = ((1.0, 0.0), (10.0, 0.2), (30.0, 0.4))  # epochs and share, linear between

Speed = Callable[[Config], float]  # seconds that a model takes to learn from one token


@dataclass(frozen=True)
class Task:
    """A text's sizes, and the options: those in ``held`` are the user's own and stay."""

    config: Config
    held: frozenset[str]
    tokens: int
    vocab_size: int
    valid_tokens: int = 0

    @classmethod
    def of(cls, config: Config, held: Collection[str], corpora: RunCorpora) -> "Task":
        """Return the task of choosing options for these texts."""
        train, valid = corpora.train, corpora.valid
        valid_tokens = 0 if valid is None else valid.tokens
        return cls(config, frozenset(held), train.tokens, len(train.vocabulary), valid_tokens)

    def with_chosen(self, config: Config, **chosen: object) -> Config:
        """Return ``config`` with these options, except those that are held."""
        free = {name: value for name, value in chosen.items() if name not in self.held}
        return msgspec.structs.replace(config, **free)

    @property
    def most_epochs(self) -> int:
        """How often the text is to be read at most."""
        return self.config.epochs if "epochs" in self.held else MOST_EPOCHS

    def epochs(self, config: Config, seconds_per_token: float, seconds: float) -> float:
        """Return how many epochs, each with its validation, fit into so many seconds."""
        an_epoch = seconds_per_token * (self.tokens + EVALUATION_COST * self.valid_tokens)
        epochs = min(seconds / an_epoch, self.most_epochs)
        read = config.iterations * config.batch_size * config.time_size
        return min(epochs, read / self.tokens) if read else epochs


def recurrent_weights(config: Config) -> int:
    """Return how many weights the recurrent layers have, biases left out."""
    H, D = config.hidden, config.wordvec
    return GATES[config.cell] * H * (D + H + (config.layers - 1) * 2 * H)


def work(config: Config, vocab_size: int) -> float:
    """Return about how many multiplications a token takes to read: recurrent layers and output."""
    cutoffs = config.adaptive(vocab_size)
    scored = vocab_size if cutoffs is None else 2 * (cutoffs[0] + len(cutoffs))
    return recurrent_weights(config) + scored * config.hidden


def sized(task: Task, layers: int, width: int) -> Config:
    """Return the options of a model of this size; dropout, rate and schedule are still to come."""
    held, V = task.held, task.vocab_size
    config = task.with_chosen(task.config, cell="lstm", hidden=width, layers=layers, embedding_scale=0.1)
    width = config.hidden
    may_tie = config.tie_weights or not ("tie_weights" in held or V < TIED_FROM)
    may_tie = may_tie and ("wordvec" not in held or config.wordvec == width)
    large = V >= ADAPTIVE_FROM and not ("tie_weights" in held and config.tie_weights)
    config = task.with_chosen(config, softmax="adaptive" if large else "full")
    tied = may_tie and config.softmax == "full"
    narrow = V < TIED_FROM and not (tied or config.tie_weights)
    config = task.with_chosen(config, tie_weights=tied, wordvec=min(width, NARROW_INPUT) if narrow else width)
    return _with_block(task, config)


def _with_block(task: Task, config: Config) -> Config:
    """Add the block's sequences and steps; a text has `LEAST_BLOCKS` at least."""
    bounds = WORD_BLOCKS if config.level in ("word", "subword") else CHARACTER_BLOCKS
    sequences, steps = next(block for most, *block in bounds if recurrent_weights(config) < most)
    config = task.with_chosen(config, time_size=max(1, min(steps, (task.tokens - 1) // LEAST_BLOCKS)))
    most = (task.tokens - 1) // (LEAST_BLOCKS * config.time_size)
    return task.with_chosen(
        config, batch_size=1 if config.wrap == "restart" else max(1, min(sequences, most))
    )


def candidates(task: Task) -> list[Config]:
    """Return the models to choose from, by rising number of recurrent weights; the first whatever the text."""
    widths = (task.config.hidden,) if "hidden" in task.held else WIDTHS
    layers = (task.config.layers,) if "layers" in task.held else (1, 2)
    deep = "hidden" in task.held or "layers" in task.held
    models = [
        sized(task, k, width) for width in widths for k in layers if k == 1 or deep or width >= NARROWEST_DEEP
    ]
    models.sort(key=recurrent_weights)
    most = WEIGHTS_PER_TOKEN * task.tokens
    return [m for k, m in enumerate(models) if k == 0 or recurrent_weights(m) <= most]


def best(task: Task, models: Iterable[Config], speed: Speed, seconds: float) -> tuple[Config, float]:
    """Return the largest of ``models`` that is worth the seconds, and the epochs it will see; else the first."""
    models = list(models)
    chosen, found = models[0], task.epochs(models[0], speed(models[0]), seconds)
    for model in models[1:]:
        epochs = task.epochs(model, speed(model), seconds)
        wanted = READ_PER_WEIGHT * recurrent_weights(model) / task.tokens
        shallow = model.layers > 1 and epochs < DEEP_FROM and "layers" not in task.held
        if epochs >= min(wanted, task.most_epochs) and not shallow:
            chosen, found = model, epochs
    return chosen, found


def scheduled(task: Task, config: Config, epochs: float) -> Config:
    """Return the options with what depends on how long training will be: dropout, learning rate, schedule."""
    dropout = _between(epochs, [at for at, _ in DROPOUT], [share for _, share in DROPOUT])
    config = task.with_chosen(config, dropout=round(dropout * 20) / 20, schedule="cosine")
    config = task.with_chosen(config, epochs=task.most_epochs)
    if config.optimizer != "adam":
        return config
    blocks = epochs * task.tokens / (config.batch_size * config.time_size)
    return task.with_chosen(config, lr=learning_rate(config.hidden, blocks))


def learning_rate(width: int, blocks: float) -> float:
    """Return Adam's learning rate: 0.01 for a width of 128 and 2000 blocks or fewer, less for more of either."""
    rate = 0.01 * math.sqrt(128 / max(width, 128)) * (2000 / max(blocks, 2000)) ** 0.3
    return float(f"{rate:.2g}")


def _between(x: float, at: list[float], values: list[float]) -> float:
    import numpy as np

    return float(np.interp(x, at, values))


class Speeds:
    """Seconds a token of the models measured so far; of others by a power of the work between the nearest two."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self._measured: list[tuple[float, float]] = []  # ln work, ln seconds; by rising work

    def note(self, config: Config, seconds_per_token: float) -> None:
        """Take note of a measurement."""
        self._measured.append((math.log(work(config, self.vocab_size)), math.log(seconds_per_token)))
        self._measured.sort()

    def __call__(self, config: Config) -> float:
        """Return the seconds of a token: beyond what was measured they are taken to grow with the work."""
        x = math.log(work(config, self.vocab_size))
        (first, least), (last, most) = self._measured[0], self._measured[-1]
        if x >= last:
            return math.exp(most + (x - last))
        if x <= first:
            return math.exp(
                least + 0.5 * (x - first)
            )  # small models lose much of their time between products
        return math.exp(_between(x, [at for at, _ in self._measured], [y for _, y in self._measured]))
