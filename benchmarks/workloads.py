"""The workloads A to H of the speed benchmark: the standard ones, with their texts, peers and targets."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from elman.benchmark import workloads as standard

FLOOR = "floor"  # a target's ``against``: the floor's time as a fraction of elman's
CLOCK = "clock"  # a target's ``against``: microseconds per token


@dataclass(frozen=True)
class Target:
    """A target against one kind of peer: how many times as fast elman must be, unless against FLOOR or CLOCK."""

    against: str
    must: float | None = None
    aim: float | None = None


@dataclass(frozen=True, kw_only=True)
class Workload(standard.Workload):
    """A standard workload with its text, its peers and its targets."""

    corpus: str  # a file below $ELMAN_DATA
    peers: tuple[str, ...]
    targets: tuple[Target, ...]
    level: Literal["word", "char"] = "word"
    subject: str = "elman"  # the peer whose speed the targets are about


def _timed(name: str, of: str = "", **more: Any) -> Workload:
    """Return the standard workload ``of`` (or of this name), under this name and with ``more`` fields changed."""
    return Workload(**{**asdict(standard.WORKLOADS[of or name]), "corpus": PTB, "name": name, **more})


PTB = "ptb/ptb.train.txt"
_TRAINERS = ("elman", "torch", "jax", "floor")
_LARGE = ("elman", "elman-torch", "torch", "jax", "floor")
_BF16 = {
    "peers": ("elman-bf16", "elman-torch", "elman", "torch-bf16", "torch"),
    "targets": (Target("torch-bf16", 1.5, 2.5),),
    "subject": "elman-bf16",
}

WORKLOADS = {
    workload.name: workload
    for workload in (
        _timed(
            "A", peers=("elman", "textbook", "torch", "jax", "floor"), targets=(
                Target("textbook", 3, 4), Target("torch", 3.5, 5), Target("jax", 2, 3), Target(FLOOR, aim=0.6),
            ),
        ),
        _timed(
            "B", corpus="kafka/kafka.txt", level="char", peers=("elman", "textbook", "torch", "jax", "floor"),
            targets=(Target("textbook", 8, 15), Target("torch", 5, 10)),
        ),
        _timed(
            "C", peers=("elman", "textbook", "torch", "jax", "floor"),
            targets=(Target("textbook", 15, 30), Target("torch", 1.5, 2.5)),
        ),
        _timed("D", peers=_LARGE, targets=(Target("torch", 2, 3),)),
        _timed("E", peers=_LARGE, targets=(Target("torch", 1.1, 1.4), Target(FLOOR, aim=0.7))),
        _timed("F-small", "D", about="D with bf16 products", **_BF16),
        _timed("F-medium", "E", about="E with bf16 products", **_BF16),
        _timed(
            "G", corpus="tinyshakespeare/input.txt", level="char", peers=_TRAINERS,
            targets=(Target("torch", 1.5, 2.5),),
        ),
        _timed(
            "H-lines", "H-words", about="scoring 10,000 lines of PTB with D's model", task="lines",
            peers=("elman", "torch", "torch-padded", "floor"), targets=(Target("torch", 2, 4),),
        ),
        _timed(
            "H-words", peers=("elman", "torch", "floor"), targets=(Target("torch", 2, 4), Target(CLOCK, aim=150)),
        ),
    )
}  # fmt: skip


def chosen(names: list[str]) -> list[Workload]:
    """Return the workloads with these names or prefixes, all of them if none is given."""
    for name in names:
        if not any(workload.startswith(name) for workload in WORKLOADS):
            raise SystemExit(f"unknown workload {name!r}; choose from {', '.join(WORKLOADS)}")
    return [
        workload
        for workload in WORKLOADS.values()
        if not names or any(workload.name.startswith(n) for n in names)
    ]
