"""The inputs of every peer of a workload: the same ids and the same initial weights, in one file."""

import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.benchmark import workloads as bench
from elman.benchmark.workloads import draw_weights, zipf
from workloads import Workload

EOS = "<eos>"
LINES = 10_000


@dataclass(frozen=True)
class Inputs(bench.Inputs):
    """ids (n,); weights by elman's names; and, for scoring lines, the lines and the words of the ids."""

    lines: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    source: str = ""


def make_inputs(workload: Workload) -> Inputs:
    """Read the workload's corpus (or generate one like it if it is absent), and draw the weights."""
    path = Path(os.environ.get("ELMAN_DATA", ""), workload.corpus)
    if path.is_file():
        text, source = path.read_text(encoding="utf-8"), workload.corpus
    else:
        text, source = zipf_text(workload), f"generated text, in place of {workload.corpus}"
    tokens = text.replace("\n", f" {EOS} ").split() if workload.level == "word" else list(text)
    number: dict[str, int] = defaultdict(lambda: len(number))
    ids = np.array([number[token] for token in tokens[: workload.first]])
    lines = text.splitlines()[:LINES] if workload.task == "lines" else []
    return Inputs(ids, draw_weights(workload), lines, list(number) if lines else [], source)


def zipf_text(workload: Workload, tokens: int = 1_000_000) -> str:
    """Return a text in which token frequencies follow Zipf's law and each of V tokens occurs at least once."""
    rng = np.random.default_rng(0)
    if workload.level == "char":
        alphabet = [chr(0x100 + k) for k in range(workload.V)]
        return "".join(alphabet) + "".join(rng.choice(alphabet, tokens, p=zipf(workload.V)))
    V = workload.V - 1  # <eos> is the last word
    if workload.first:
        tokens = workload.first - workload.V
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
    with np.load(path) as arrays:
        weights = {
            name[len("weight ") :]: arrays[name] for name in arrays.files if name.startswith("weight ")
        }
        return Inputs(arrays["ids"], weights, _strings(arrays["lines"]), _strings(arrays["words"]))


def _bytes(strings: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer("\n".join(strings).encode(), np.uint8)


def _strings(array: NDArray[np.uint8]) -> list[str]:
    return array.tobytes().decode().split("\n") if array.size else []
