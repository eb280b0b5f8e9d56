"""Mamba and Mamba-2 beside `transformers`, one thread: `python benchmarks/published.py [mamba|mamba2] [PASSES]`.

Both have the same random weights, of the shape of the published models of 130 million parameters: 24 layers of width
768. A pass scores 1,000 tokens and writes 8, here and there in turn; a time is CPU time, a ratio the median over the
passes. Needs PyTorch and `transformers`, whose form without compiled kernels is the one for a CPU.
"""

import os
import sys

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers

from elman.formats.pretrained import READERS, StoredArrays
from elman.models.recurrent import RecurrentLM

SCORED, PROMPT, WRITTEN = 1000, 8, 8  # tokens
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "mamba": ("Mamba", {"vocab_size": 50280, "state_size": 16}),
    "mamba2": (
        "Mamba2",
        {"vocab_size": 50288, "num_heads": 24, "head_dim": 64, "state_size": 128, "n_groups": 1},
    ),
}


def both(kind: str) -> tuple[Any, RecurrentLM]:
    """Return the model of `transformers`, and ours with the same weights."""
    torch.manual_seed(0)
    name, sizes = SHAPES[kind]
    shape = {"hidden_size": 768, "num_hidden_layers": 24, "tie_word_embeddings": True, **sizes}
    theirs = getattr(transformers, f"{name}ForCausalLM")(getattr(transformers, f"{name}Config")(**shape))
    arrays = {key: weight.numpy() for key, weight in theirs.state_dict().items()}
    hyperparameters, weights = READERS[kind](theirs.config.to_dict(), StoredArrays(arrays, "the weights"))
    as_in_a_run = {name: np.ascontiguousarray(weight) for name, weight in weights.items()}
    return theirs.eval(), RecurrentLM(**hyperparameters, weights=as_in_a_run)


def seconds(work: Callable[[], Any]) -> float:
    """Return the CPU time of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    kind = sys.argv[1] if len(sys.argv) > 1 else "mamba2"
    passes = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    theirs, ours = both(kind)
    ids = np.random.default_rng(0).integers(0, 50000, (1, SCORED + 1))
    tensor = torch.tensor(ids)

    def score_ours() -> Any:
        return ours.target_log_probs(ids[:, 1:], ours.feed(ids[:, :1], ours.start()))[0]

    def score_theirs() -> Any:
        with torch.no_grad():
            log_probs = torch.log_softmax(theirs(tensor).logits, -1)
        return log_probs[0, :-1].gather(1, tensor[0, 1:, None])

    def write_ours() -> list[int]:
        state, written = ours.feed(ids[:, :PROMPT], ours.start()), []
        for _ in range(WRITTEN):
            best = ours.next_log_probs(state).argmax(axis=1)  # (1,)
            written.append(int(best[0]))
            state = ours.feed(best[:, None], state)
        return written

    def write_theirs() -> list[int]:
        fixed = {
            "max_new_tokens": WRITTEN,
            "min_new_tokens": WRITTEN,
            "do_sample": False,
            "eos_token_id": None,
        }
        with torch.no_grad():
            found: list[int] = theirs.generate(tensor[:, :PROMPT], pad_token_id=0, **fixed)[
                0, PROMPT:
            ].tolist()
        return found

    print(f"{kind}: the same tokens written: {write_ours() == write_theirs()}")
    for what, mine, other in (("score", score_ours, score_theirs), ("write", write_ours, write_theirs)):
        pairs = [(seconds(mine), seconds(other)) for _ in range(passes)]
        here, there = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(slow / fast for fast, slow in pairs)
        tokens = SCORED if what == "score" else WRITTEN
        print(f"{what} {tokens:5,} tokens: elman {here:.2f} s, transformers {there:.2f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
