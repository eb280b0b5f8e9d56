"""The rule that chooses a model for a time budget: pure functions of a text's sizes and of measured speeds.

Two things limit the size of a model. The time: recurrent layers of W weights pay off once about
`READ_PER_WEIGHT`·W tokens can be read to train them. And the text: a model with far more weights than tokens
memorises it, and after `MAX_EPOCHS` epochs nothing is gained. The rule takes the largest model within both limits,
and raises dropout with the number of epochs.

Characters, bytes and texts of many words get residual blocks around f-pooling, which reach a lower loss than an LSTM in
the same time (RESULTS.md, "Loss at equal time"); texts of few words get an LSTM.
"""

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import msgspec

from elman.models.parameters import CELLS, output_size, plan_weights
from elman.training.config import Config
from elman.training.corpora import RunCorpora

WIDTHS = (16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024)
READ_PER_WEIGHT = 10  # tokens to be read for every weight of the recurrent layers
MAX_WEIGHTS_PER_TOKEN = 4  # of the text
MAX_EPOCHS = 40
TWO_LAYERS_FROM = 10  # epochs
TWO_LAYERS_FROM_WIDTH = 128
TIED_FROM = 1_000  # tokens of the vocabulary; below, the output matrix is a small part of the model
ADAPTIVE_FROM = 20_000  # tokens of the vocabulary; above, a full softmax would take most of the time
MAX_UNTIED_INPUT = 64  # width of the word vectors of a small vocabulary
BLOCKS = (2, 3)  # residual blocks to choose from
BLOCKS_FROM = 100_000  # tokens of a text of words; below, blocks memorise it
BLOCKS_RATE = 0.7  # their learning rate over that of an LSTM as wide
# (recurrent weights below which it holds, sequences, steps). Small models gain from more and smaller blocks.
WORD_BLOCKS = ((100_000, 10, 20), (300_000, 20, 20), (math.inf, 20, 35))
CHARACTER_BLOCKS = ((300_000, 16, 32), (math.inf, 32, 64))
MIN_BLOCKS = 20  # of an epoch
EVALUATION_COST = 0.5  # time of a validation token over that of a training token
# (epochs, rate), linear in between
DROPOUT = ((1.0, 0.0), (10.0, 0.2), (30.0, 0.4))
DROPOUT_OF_CHARACTERS_IN_BLOCKS = ((8.0, 0.0), (40.0, 0.2))  # at 4 epochs 0.1 costs 0.03 nats per character

Speed = Callable[[Config], float]  # seconds to train a model on one token


@dataclass(frozen=True)
class Task:
    """The sizes of the text, and the options; those named in ``held`` are given by the user and must stay."""

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
        """Return ``config`` with these options changed, except those in ``held``."""
        free = {name: value for name, value in chosen.items() if name not in self.held}
        return msgspec.structs.replace(config, **free)

    @property
    def max_epochs(self) -> int:
        """The largest number of epochs."""
        return self.config.epochs if "epochs" in self.held else MAX_EPOCHS

    def epochs(self, config: Config, seconds_per_token: float, seconds: float) -> float:
        """Return how many epochs, each with its validation, fit into a time."""
        an_epoch = seconds_per_token * (self.tokens + EVALUATION_COST * self.valid_tokens)
        epochs = min(seconds / an_epoch, self.max_epochs)
        read = config.iterations * config.batch_size * config.time_size
        return min(epochs, read / self.tokens) if read else epochs


def recurrent_weights(config: Config) -> int:
    """Return the number of weights of the recurrent layers, without biases."""
    plan = plan_weights(
        1, config.wordvec, config.hidden, config.cell, config.layers, block=config.block, mlp=config.mlp
    )
    return sum(
        math.prod(weight.shape)
        for name, weight in plan.items()
        if name[0].isdigit() and len(weight.shape) > 1
    )


def multiplications(config: Config, vocab_size: int) -> float:
    """Return roughly how many multiplications a token takes, in the recurrent layers and the output."""
    cutoffs = config.adaptive(vocab_size)
    scored = vocab_size if cutoffs is None else 2 * (cutoffs[0] + len(cutoffs))
    width = output_size(config.block, config.wordvec, config.hidden, config.cell)
    return recurrent_weights(config) + scored * width


def sized(task: Task, layers: int, width: int) -> Config:
    """Return the options of a model of this size; `scheduled` adds dropout, learning rate and schedule."""
    held, V = task.held, task.vocab_size
    config = task.with_chosen(task.config, hidden=width, layers=layers, embedding_scale=0.1)
    if takes_blocks(task):
        config = msgspec.structs.replace(config, cell="fpool", block="residual")
    else:
        config = task.with_chosen(config, cell="lstm")
    width = config.hidden
    may_tie = config.tie_weights or not ("tie_weights" in held or V < TIED_FROM)
    residual = config.block == "residual"  # whose word vectors are as wide as all that follows
    may_tie = may_tie and ("wordvec" not in held or config.wordvec == width or residual)
    large = V >= ADAPTIVE_FROM and not ("tie_weights" in held and config.tie_weights)
    config = task.with_chosen(config, softmax="adaptive" if large else "full")
    tied = may_tie and config.softmax == "full"
    narrow = V < TIED_FROM and not (tied or config.tie_weights or residual)
    narrow = narrow and CELLS[config.cell].hidden_size(1, width) == width  # not as wide as its input
    wordvec = min(width, MAX_UNTIED_INPUT) if narrow else max(8, round(width / 12) * 8) if residual else width
    return _with_block(task, task.with_chosen(config, tie_weights=tied, wordvec=wordvec))


def takes_blocks(task: Task) -> bool:
    """Return whether residual blocks are chosen: for characters, bytes and many words, if the given options fit."""
    config = task.config
    suits = not of_words(config) or task.tokens >= BLOCKS_FROM
    free = not {"cell", "block"} & task.held and config.wordvec and not config.recurrent_dropout
    return bool(free) and suits and config.init in ("normal", "uniform")


def of_words(config: Config) -> bool:
    """Return whether the tokens are words or subwords."""
    return config.level in ("word", "subword")


def _with_block(task: Task, config: Config) -> Config:
    """Set batch_size and time_size such that an epoch has at least `MIN_BLOCKS` blocks."""
    bounds = WORD_BLOCKS if of_words(config) else CHARACTER_BLOCKS
    sequences, steps = next(block for most, *block in bounds if recurrent_weights(config) < most)
    config = task.with_chosen(config, time_size=max(1, min(steps, (task.tokens - 1) // MIN_BLOCKS)))
    most = (task.tokens - 1) // (MIN_BLOCKS * config.time_size)
    return task.with_chosen(
        config, batch_size=1 if config.wrap == "restart" else max(1, min(sequences, most))
    )


def candidates(task: Task) -> list[Config]:
    """Return the models to choose from, by increasing size; the smallest is there whatever the text."""
    widths = (task.config.hidden,) if "hidden" in task.held else WIDTHS
    blocks = takes_blocks(task)
    layers = (task.config.layers,) if "layers" in task.held else BLOCKS if blocks else (1, 2)
    deep = blocks or "hidden" in task.held or "layers" in task.held
    models = [
        sized(task, k, width)
        for width in widths
        for k in layers
        if k == 1 or deep or width >= TWO_LAYERS_FROM_WIDTH
    ]
    models.sort(key=recurrent_weights)
    most = MAX_WEIGHTS_PER_TOKEN * task.tokens
    return [m for k, m in enumerate(models) if k == 0 or recurrent_weights(m) <= most]


def best(task: Task, models: Iterable[Config], speed: Speed, seconds: float) -> tuple[Config, float]:
    """Return the largest of ``models`` that pays off in the time (else the first), and its number of epochs."""
    models = list(models)
    chosen, found = models[0], task.epochs(models[0], speed(models[0]), seconds)
    for model in models[1:]:
        epochs = task.epochs(model, speed(model), seconds)
        wanted = READ_PER_WEIGHT * recurrent_weights(model) / task.tokens
        deep = model.layers > 1 and model.block == "plain" and "layers" not in task.held
        if epochs >= min(wanted, task.max_epochs) and not (deep and epochs < TWO_LAYERS_FROM):
            chosen, found = model, epochs
    return chosen, found


def scheduled(task: Task, config: Config, epochs: float) -> Config:
    """Return the options with those that depend on the length of training: dropout, learning rate, schedule."""
    table = DROPOUT if config.block == "plain" or of_words(config) else DROPOUT_OF_CHARACTERS_IN_BLOCKS
    dropout = _between(epochs, [at for at, _ in table], [rate for _, rate in table])
    config = task.with_chosen(config, dropout=round(dropout * 20) / 20, schedule="cosine")
    config = task.with_chosen(config, epochs=task.max_epochs)
    if config.optimizer != "adam":
        return config
    blocks = epochs * task.tokens / (config.batch_size * config.time_size)
    rate = learning_rate(config.hidden, blocks) * (1.0 if config.block == "plain" else BLOCKS_RATE)
    return task.with_chosen(config, lr=float(f"{rate:.2g}"))


def learning_rate(width: int, blocks: float) -> float:
    """Return Adam's learning rate: 0.01 up to a width of 128 and 2000 blocks, less for more of either."""
    return float(0.01 * math.sqrt(128 / max(width, 128)) * (2000 / max(blocks, 2000)) ** 0.3)


def _between(x: float, at: list[float], values: list[float]) -> float:
    import numpy as np

    return float(np.interp(x, at, values))


class Speeds:
    """Seconds per token: of measured models, and of others by log-log interpolation over their multiplications."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self._measured: list[tuple[float, float]] = []  # (ln multiplications, ln seconds), ascending

    def add(self, config: Config, seconds_per_token: float) -> None:
        """Add a measurement."""
        self._measured.append(
            (math.log(multiplications(config, self.vocab_size)), math.log(seconds_per_token))
        )
        self._measured.sort()

    def __call__(self, config: Config) -> float:
        """Return the seconds per token; above the largest measured model they grow with the multiplications."""
        x = math.log(multiplications(config, self.vocab_size))
        (first, least), (last, most) = self._measured[0], self._measured[-1]
        if x >= last:
            return math.exp(most + (x - last))
        if x <= first:
            # in small models much of the time is not spent in products
            return math.exp(least + 0.5 * (x - first))
        return math.exp(_between(x, [at for at, _ in self._measured], [y for _, y in self._measured]))
