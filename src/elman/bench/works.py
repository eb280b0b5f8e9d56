"""The standard works, from A to H: sizes and rules of training, or of scoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from elman.errors import ConfigError


@dataclass(frozen=True)
class Work:
    """One work. N lanes, T steps, D word vector (0: one-hot input), H hidden, V vocabulary."""

    name: str
    about: str
    V: int
    D: int
    H: int
    N: int
    T: int
    cell: Literal["rnn", "lstm"] = "lstm"
    layers: int = 1
    task: Literal["train", "lines", "words"] = "train"
    optimizer: Literal["sgd", "adagrad", "adam"] = "sgd"
    lr: float = 1.0
    clip_norm: float | None = None
    clip_value: float | None = None
    reduction: Literal["mean", "sum"] = "mean"
    wrap: Literal["circle", "restart"] = "circle"  # restart: at the end of the text the state begins anew
    first: int | None = None  # read the first so many tokens only
    scale: float | None = None  # every weight is scale·N(0,1); None: word vectors 0.1, others 1/√rows


WORKS = {
    work.name: work
    for work in (
        Work(
            "A", "the textbook's first run: V 418, D = H = 100, N 10, T 5, SGD", 418, 100, 100, 10, 5,
            cell="rnn", lr=0.1, first=1000,
        ),
        Work(
            "B", "min-char-rnn: V 80, H 100, N 1, T 25, AdaGrad, entries clipped to ±5", 80, 0, 100, 1, 25,
            cell="rnn", optimizer="adagrad", lr=0.1, clip_value=5.0, reduction="sum", wrap="restart", scale=0.01,
        ),
        Work(
            "C", "the textbook's model on all of PTB: V 10,000, D = H = 100, N 20, T 35, SGD",
            10_000, 100, 100, 20, 35, cell="rnn", lr=0.1,
        ),
        Work(
            "D", "PTB small LSTM: V 10,000, 2×200, N 20, T 20, SGD, clipped by norm",
            10_000, 200, 200, 20, 20, layers=2, clip_norm=5.0,
        ),
        Work(
            "E", "PTB medium LSTM: V 10,000, 2×650, N 20, T 35, SGD, clipped by norm",
            10_000, 650, 650, 20, 35, layers=2, clip_norm=5.0,
        ),
        Work(
            "G", "character LSTM: V 65, 2×128, N 50, T 50, Adam, clipped by norm", 65, 128, 128, 50, 50,
            layers=2, optimizer="adam", lr=0.002, clip_norm=5.0,
        ),
        Work(
            "H-words", "scoring PTB one word at a time with D's model", 10_000, 200, 200, 20, 20,
            layers=2, task="words",
        ),
    )
}  # fmt: skip
QUICK = ("A", "D", "G", "H-words")  # together they end within half a minute


def chosen(names: Sequence[str]) -> list[Work]:
    """Return the works of these names, or of their beginnings, in the order of WORKS; the quick ones for none.

    Raises:
        ConfigError: there is no work of this name.
    """
    for name in names:
        if not name or not any(work.startswith(name) for work in WORKS):
            raise ConfigError(f"there is no work {name!r}; choose from {', '.join(WORKS)}")
    return [work for work in WORKS.values() if any(work.name.startswith(name) for name in names or QUICK)]
