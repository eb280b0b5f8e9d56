"""The works that the speed benchmark times, from A to H: sizes, rules, peers and what must be reached."""

from dataclasses import dataclass
from typing import Literal

FLOOR = "floor"  # a target's ``against``: the share of the floor's time in elman's
CLOCK = "clock"  # a target's ``against``: microseconds a token


@dataclass(frozen=True)
class Target:
    """What is to be reached against one kind of peer: how many times as fast, unless against FLOOR or CLOCK."""

    against: str
    must: float | None = None
    aim: float | None = None


@dataclass(frozen=True)
class Work:
    """One work. N lanes, T steps, D word vector (0: one-hot input), H hidden, V vocabulary."""

    name: str
    about: str
    corpus: str  # a file below $ELMAN_DATA
    V: int
    D: int
    H: int
    N: int
    T: int
    peers: tuple[str, ...]
    targets: tuple[Target, ...]
    cell: Literal["rnn", "lstm"] = "lstm"
    layers: int = 1
    level: Literal["word", "char"] = "word"
    task: Literal["train", "lines", "words"] = "train"
    optimizer: Literal["sgd", "adagrad", "adam"] = "sgd"
    lr: float = 1.0
    clip_norm: float | None = None
    clip_value: float | None = None
    reduction: Literal["mean", "sum"] = "mean"
    wrap: Literal["circle", "restart"] = "circle"  # restart: at the end of the text the state begins anew
    first: int | None = None  # read the first so many tokens only
    scale: float | None = None  # every weight is scale·N(0,1); None: word vectors 0.1, others 1/√rows
    subject: str = "elman"  # the peer whose speed the targets are about


PTB = "ptb/ptb.train.txt"
_TRAINERS = ("elman", "torch", "jax", "floor")
_SMALL = {"corpus": PTB, "V": 10_000, "D": 200, "H": 200, "layers": 2, "N": 20, "T": 20, "clip_norm": 5.0}
_MEDIUM = {**_SMALL, "D": 650, "H": 650, "T": 35}
_BF16 = {
    "peers": ("elman-bf16", "elman", "torch-bf16", "torch"),
    "targets": (Target("torch-bf16", 1.5, 2.5),),
    "subject": "elman-bf16",
}

WORKS = {
    work.name: work
    for work in (
        Work(
            "A", "the textbook's first run: V 418, D = H = 100, N 10, T 5, SGD", PTB, 418, 100, 100, 10, 5,
            ("elman", "textbook", "torch", "jax", "floor"),
            (Target("textbook", 3, 4), Target("torch", 3.5, 5), Target("jax", 2, 3), Target(FLOOR, aim=0.6)),
            cell="rnn", lr=0.1, first=1000,
        ),
        Work(
            "B", "min-char-rnn: V 80, H 100, N 1, T 25, AdaGrad, entries clipped to ±5", "kafka/kafka.txt",
            80, 0, 100, 1, 25, ("elman", "textbook", "torch", "jax", "floor"),
            (Target("textbook", 8, 15), Target("torch", 5, 10)),
            cell="rnn", level="char", optimizer="adagrad", lr=0.1, clip_value=5.0, reduction="sum",
            wrap="restart", scale=0.01,
        ),
        Work(
            "C", "the textbook's model on all of PTB: V 10,000, D = H = 100, N 20, T 35, SGD", PTB,
            10_000, 100, 100, 20, 35, ("elman", "textbook", "torch", "jax", "floor"),
            (Target("textbook", 15, 30), Target("torch", 1.5, 2.5)), cell="rnn", lr=0.1,
        ),
        Work(
            "D", "PTB small LSTM: V 10,000, 2×200, N 20, T 20, SGD, clipped by norm",
            peers=_TRAINERS, targets=(Target("torch", 2, 3),), **_SMALL,
        ),
        Work(
            "E", "PTB medium LSTM: V 10,000, 2×650, N 20, T 35, SGD, clipped by norm",
            peers=_TRAINERS, targets=(Target("torch", 1.1, 1.4), Target(FLOOR, aim=0.7)), **_MEDIUM,
        ),
        Work("F-small", "D with bf16 products", **_BF16, **_SMALL),
        Work("F-medium", "E with bf16 products", **_BF16, **_MEDIUM),
        Work(
            "G", "character LSTM: V 65, 2×128, N 50, T 50, Adam, clipped by norm", "tinyshakespeare/input.txt",
            65, 128, 128, 50, 50, _TRAINERS, (Target("torch", 1.5, 2.5),),
            layers=2, level="char", optimizer="adam", lr=0.002, clip_norm=5.0,
        ),
        Work(
            "H-lines", "scoring 10,000 lines of PTB with D's model", task="lines",
            peers=("elman", "torch", "torch-padded", "floor"), targets=(Target("torch", 2, 4),), **_SMALL,
        ),
        Work(
            "H-words", "scoring PTB one word at a time with D's model", task="words",
            peers=("elman", "torch", "floor"), targets=(Target("torch", 2, 4), Target(CLOCK, aim=150)), **_SMALL,
        ),
    )
}  # fmt: skip


def chosen(names: list[str]) -> list[Work]:
    """Return the works of these names, all of them for none; "H" stands for H-lines and H-words, "F" likewise."""
    for name in names:
        if not any(work.startswith(name) for work in WORKS):
            raise SystemExit(f"there is no work {name!r}; choose from {', '.join(WORKS)}")
    return [work for work in WORKS.values() if not names or any(work.name.startswith(n) for n in names)]
