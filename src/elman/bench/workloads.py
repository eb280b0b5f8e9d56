"""The standard workloads, and what every peer of one is given: the same ids and initial weights.

The standard works, from A to H: sizes and rules of training, or of scoring.

What every peer of a work is given: the same ids and the same initial weights.

Who does a work: elman, PyTorch, or the floor.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.models.parameters import Weight, plan_weights


@dataclass(frozen=True)
class Work:
    """One work. N sequences, T steps, D word vector (0: one-hot input), H hidden, V vocabulary."""

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


TOKENS = 200_000


@dataclass(frozen=True)
class Inputs:
    """ids (n,), and weights by elman's names."""

    ids: NDArray[np.int64]
    weights: dict[str, NDArray[np.float32]]


def made_up(work: Work) -> Inputs:
    """Draw ids by Zipf's law, and weights: the same ones at every call."""
    rng = np.random.default_rng(0)
    return Inputs(rng.choice(work.V, work.first or TOKENS, p=zipf(work.V)), draw_weights(work))


def zipf(V: int) -> NDArray[np.float64]:
    """Return V shares, the k-th of which is a k-th of the first."""
    shares = 1 / np.arange(1, V + 1)
    return shares / float(shares.sum())


def draw_weights(work: Work) -> dict[str, NDArray[np.float32]]:
    """Return initial weights under elman's names: float32, biases 0."""
    rng = np.random.default_rng(0)

    def draw(weight: Weight) -> NDArray[np.float32]:
        if weight.scale is None:
            return np.zeros(weight.shape, np.float32)
        return (rng.standard_normal(weight.shape) * (work.scale or weight.scale)).astype(np.float32)

    plan = plan_weights(work.V, work.D, work.H, work.cell, work.layers, embedding_scale=0.1)
    return {name: draw(weight) for name, weight in plan.items()}


WORDS_A_STEP = 100  # a step of scoring word by word
PEERS = {"elman": "ours", "torch": "pytorch", "floor": "floor"}  # name: module


class Peer(Protocol):
    """One way to do a work. It keeps its place in the text from call to call."""

    def run(self, steps: int) -> tuple[list[float], int]:
        """Do the next steps; return the loss of each in nats a token (none for the floor), and the tokens."""
        ...


class PeerModule(Protocol):
    """A file that holds a peer."""

    def build(self, work: Work, inputs: Inputs) -> Peer:
        """Make the peer of a work."""
        ...


def load(name: str) -> PeerModule:
    """Import a peer, and with it the libraries that it needs. Raises ImportError where one is missing."""
    module: PeerModule = importlib.import_module(f"elman.bench.{PEERS[name]}")
    return module
