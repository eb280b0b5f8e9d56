"""The standard workloads A to H, the inputs of a workload, and the peers that run it.

A workload is a model size with the rules of training or scoring. Its peers (elman, PyTorch, and the floor of bare
matrix products) get the same ids and the same initial weights.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.layers.base import Weight
from elman.models.parameters import plan_weights


@dataclass(frozen=True)
class Workload:
    """One workload: N sequences, T steps, D word vector width (0: one-hot input), H hidden width, V vocabulary."""

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
    wrap: Literal["circle", "restart"] = "circle"  # restart: reset the state at the end of the text
    first: int | None = None  # number of tokens to read; None: all
    scale: float | None = None  # every weight is scale·N(0,1); None: word vectors 0.1, others 1/√rows


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "A", "the textbook's first run: V 418, D = H = 100, N 10, T 5, SGD", 418, 100, 100, 10, 5,
            cell="rnn", lr=0.1, first=1000,
        ),
        Workload(
            "B", "min-char-rnn: V 80, H 100, N 1, T 25, AdaGrad, entries clipped to ±5", 80, 0, 100, 1, 25,
            cell="rnn", optimizer="adagrad", lr=0.1, clip_value=5.0, reduction="sum", wrap="restart", scale=0.01,
        ),
        Workload(
            "C", "the textbook's model on all of PTB: V 10,000, D = H = 100, N 20, T 35, SGD",
            10_000, 100, 100, 20, 35, cell="rnn", lr=0.1,
        ),
        Workload(
            "D", "PTB small LSTM: V 10,000, 2×200, N 20, T 20, SGD, clipped by norm",
            10_000, 200, 200, 20, 20, layers=2, clip_norm=5.0,
        ),
        Workload(
            "E", "PTB medium LSTM: V 10,000, 2×650, N 20, T 35, SGD, clipped by norm",
            10_000, 650, 650, 20, 35, layers=2, clip_norm=5.0,
        ),
        Workload(
            "G", "character LSTM: V 65, 2×128, N 50, T 50, Adam, clipped by norm", 65, 128, 128, 50, 50,
            layers=2, optimizer="adam", lr=0.002, clip_norm=5.0,
        ),
        Workload(
            "H-words", "scoring PTB one word at a time with D's model", 10_000, 200, 200, 20, 20,
            layers=2, task="words",
        ),
    )
}  # fmt: skip
QUICK = ("A", "D", "G", "H-words")  # together they take less than half a minute


def chosen(names: Sequence[str]) -> list[Workload]:
    """Return the workloads with these names or prefixes, in the order of WORKLOADS; the quick ones if none is given.

    Raises:
        ConfigError: there is no workload of this name.
    """
    for name in names:
        if not name or not any(workload.startswith(name) for workload in WORKLOADS):
            raise ConfigError(f"unknown workload {name!r}; choose from {', '.join(WORKLOADS)}")
    return [
        workload
        for workload in WORKLOADS.values()
        if any(workload.name.startswith(name) for name in names or QUICK)
    ]


TOKENS = 200_000  # of a generated text


@dataclass(frozen=True)
class Inputs:
    """The inputs of a workload: ids (n,), and weights by elman's names."""

    ids: NDArray[np.int64]
    weights: dict[str, NDArray[np.float32]]


def made_up(workload: Workload) -> Inputs:
    """Draw ids by Zipf's law, and weights: the same at every call."""
    rng = np.random.default_rng(0)
    return Inputs(
        rng.choice(workload.V, workload.first or TOKENS, p=zipf(workload.V)), draw_weights(workload)
    )


def zipf(V: int) -> NDArray[np.float64]:
    """Return probabilities (V,) by Zipf's law: the k-th is 1/k of the first."""
    weights = 1 / np.arange(1, V + 1)
    return weights / float(weights.sum())


def draw_weights(workload: Workload) -> dict[str, NDArray[np.float32]]:
    """Return initial weights under elman's names: float32, biases 0."""
    rng = np.random.default_rng(0)

    def draw(weight: Weight) -> NDArray[np.float32]:
        if weight.scale is None:
            return np.zeros(weight.shape, np.float32)
        return (rng.standard_normal(weight.shape) * (workload.scale or weight.scale)).astype(np.float32)

    plan = plan_weights(
        workload.V, workload.D, workload.H, workload.cell, workload.layers, embedding_scale=0.1
    )
    return {name: draw(weight) for name, weight in plan.items()}


WORDS_A_STEP = 100  # of scoring word by word
PEERS = {"elman": "ours", "torch": "pytorch", "floor": "floor"}  # name: module


class Peer(Protocol):
    """One implementation of a workload; it keeps its place in the text from call to call."""

    def run(self, steps: int) -> tuple[list[float], int]:
        """Run the next steps; return the loss of each in nats per token (none for the floor), and the tokens read."""
        ...


class PeerModule(Protocol):
    """The module of a peer."""

    def build(self, workload: Workload, inputs: Inputs) -> Peer:
        """Make the peer for a workload."""
        ...


def load(name: str) -> PeerModule:
    """Import the module of a peer and the libraries it needs. Raises ImportError where one is missing."""
    module: PeerModule = importlib.import_module(f"elman.benchmark.{PEERS[name]}")
    return module
