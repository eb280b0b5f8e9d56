"""What every peer of a work is given: the same ids and the same initial weights, in one file."""

import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.bench import workloads as bench
from elman.bench.workloads import draw_weights, zipf
from works import Work

EOS = "<eos>"
LINES = 10_000


@dataclass(frozen=True)
class Inputs(bench.Inputs):
    """ids (n,); weights by elman's names; and, where lines are scored, those and the words of the ids."""

    lines: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    source: str = ""


def make_inputs(work: Work) -> Inputs:
    """Read the work's corpus, or make up one like it where it is absent, and draw the weights."""
    path = Path(os.environ.get("ELMAN_DATA", ""), work.corpus)
    if path.is_file():
        text, source = path.read_text(encoding="utf-8"), work.corpus
    else:
        text, source = zipf_text(work), f"made-up text, in place of {work.corpus}"
    tokens = text.replace("\n", f" {EOS} ").split() if work.level == "word" else list(text)
    number: dict[str, int] = defaultdict(lambda: len(number))
    ids = np.array([number[token] for token in tokens[: work.first]])
    lines = text.splitlines()[:LINES] if work.task == "lines" else []
    return Inputs(ids, draw_weights(work), lines, list(number) if lines else [], source)


def zipf_text(work: Work, tokens: int = 1_000_000) -> str:
    """Return a text whose k-th token is k times as rare as its first, each of V at least once."""
    rng = np.random.default_rng(0)
    if work.level == "char":
        alphabet = [chr(0x100 + k) for k in range(work.V)]
        return "".join(alphabet) + "".join(rng.choice(alphabet, tokens, p=zipf(work.V)))
    V = work.V - 1  # <eos> is the last word
    if work.first:
        tokens = work.first - work.V
    words = np.array([f"w{k}" for k in range(V)])
    drawn = np.concatenate((words, rng.choice(words, tokens, p=zipf(V))))
    return "".join(" ".join(drawn[k : k + 21]) + "\n" for k in range(0, len(drawn), 21))


def save_inputs(path: Path, inputs: Inputs) -> None:
    """Write the inputs to an .npz file."""
    texts = {"lines": _bytes(inputs.lines), "words": _bytes(inputs.words)}
    weights: dict[str, Any] = {f"weight {name}": w for name, w in inputs.weights.items()}
    np.savez(path, ids=inputs.ids, **texts, **weights)


def load_inputs(path: Path) -> Inputs:
    """Return what `save_inputs` wrote."""
    with np.load(path) as held:
        weights = {name[len("weight ") :]: held[name] for name in held.files if name.startswith("weight ")}
        return Inputs(held["ids"], weights, _strings(held["lines"]), _strings(held["words"]))


def _bytes(strings: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer("\n".join(strings).encode(), np.uint8)


def _strings(array: NDArray[np.uint8]) -> list[str]:
    return array.tobytes().decode().split("\n") if array.size else []
