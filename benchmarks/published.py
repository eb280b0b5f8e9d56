"""Published models beside the libraries that run them, one thread: `python benchmarks/published.py KIND [PASSES]`.

KIND is mamba, mamba2, rwkv4 or rwkv7. Both sides have the same random weights, of the shape of the published models of
130 to 190 million parameters: 24 layers of width 768, for RWKV 12. A pass scores 1,000 tokens and writes 8, with each
in turn: elman in float32 and in bfloat16, and the other library. A time is CPU time, a ratio the median over the
passes. Needs PyTorch, and `transformers`, whose form without compiled kernels is the one for a CPU, or `rwkv`.
"""

import os
import sys

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from elman.formats.pretrained import READERS, StoredArrays
from elman.formats.rwkv import from_rwkv
from elman.models.recurrent import RecurrentLM
from tables import markdown

SCORED, PROMPT, WRITTEN = 1000, 8, 8  # tokens
MAMBAS: dict[str, tuple[str, dict[str, Any]]] = {
    "mamba": ("Mamba", {"vocab_size": 50280, "state_size": 16}),
    "mamba2": (
        "Mamba2",
        {"vocab_size": 50288, "num_heads": 24, "head_dim": 64, "state_size": 128, "n_groups": 1},
    ),
}
RWKVS: dict[str, tuple[int, dict[str, int]]] = {  # the vocabulary, and the sizes of a block
    "rwkv4": (50277, {}),
    "rwkv7": (65536, {"head": 64, "rank_w": 64, "rank_a": 64, "rank_v": 32, "rank_g": 128}),
}
Ids = np.ndarray[Any, Any]


class Peer(Protocol):
    """What both sides do: ids are (T,)."""

    def score(self, ids: Ids) -> Ids:
        """Return ln P of every id but the first, given those before it."""
        ...

    def write(self, prompt: Ids) -> list[int]:
        """Return `WRITTEN` tokens after a prompt, each the most probable."""
        ...


class Ours:
    """elman's model."""

    def __init__(self, model: RecurrentLM) -> None:
        self.model = model
        self.size = sum(weight.nbytes for weight in model.weights.values())

    def score(self, ids: Ids) -> Ids:
        state = self.model.feed(ids[None, :1], self.model.start())
        return self.model.target_log_probs(ids[None, 1:], state)[0][0]

    def write(self, prompt: Ids) -> list[int]:
        state, written = self.model.feed(prompt[None], self.model.start()), []
        for _ in range(WRITTEN):
            best = self.model.next_log_probs(state).argmax(axis=1)  # (1,)
            written.append(int(best[0]))
            state = self.model.feed(best[:, None], state)
        return written


class OfTransformers:
    """A model of `transformers`."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval()

    @torch.no_grad()
    def score(self, ids: Ids) -> Ids:
        tensor = torch.tensor(ids[None])
        log_probs = torch.log_softmax(self.model(tensor).logits, -1)
        return log_probs[0, :-1].gather(1, tensor[0, 1:, None])[:, 0].numpy()

    @torch.no_grad()
    def write(self, prompt: Ids) -> list[int]:
        fixed = {"max_new_tokens": WRITTEN, "min_new_tokens": WRITTEN, "do_sample": False}
        found = self.model.generate(torch.tensor(prompt[None]), pad_token_id=0, eos_token_id=None, **fixed)
        return [int(each) for each in found[0, PROMPT:]]


class OfRWKV:
    """A model of the package `rwkv`."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @torch.no_grad()
    def score(self, ids: Ids) -> Ids:
        scores, _ = self.model.forward(ids[:-1].tolist(), None, full_output=True)
        log_probs = torch.log_softmax(scores.float(), -1)
        return log_probs.gather(1, torch.tensor(ids[1:, None]))[:, 0].numpy()

    @torch.no_grad()
    def write(self, prompt: Ids) -> list[int]:
        scores, state = self.model.forward(prompt.tolist(), None)
        written = [int(scores.argmax())]
        while len(written) < WRITTEN:
            scores, state = self.model.forward(written[-1:], state)
            written.append(int(scores.argmax()))
        return written


def mamba(kind: str) -> tuple[Peer, RecurrentLM]:
    """Return the model of `transformers`, and ours with the same weights."""
    import transformers

    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    name, sizes = MAMBAS[kind]
    shape = {"hidden_size": 768, "num_hidden_layers": 24, "tie_word_embeddings": True, **sizes}
    theirs = getattr(transformers, f"{name}ForCausalLM")(getattr(transformers, f"{name}Config")(**shape))
    arrays = {key: weight.numpy() for key, weight in theirs.state_dict().items()}
    hyperparameters, weights = READERS[kind](theirs.config.to_dict(), StoredArrays(arrays, "the weights"))
    as_in_a_run = {name: np.ascontiguousarray(weight) for name, weight in weights.items()}
    return OfTransformers(theirs), RecurrentLM(**hyperparameters, weights=as_in_a_run)


def rwkv(kind: str) -> tuple[Peer, RecurrentLM]:
    """Return the model of `rwkv`, and ours with the same weights."""
    os.environ |= {"RWKV_V7_ON": "1" if kind == "rwkv7" else "0", "RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"}
    sys.path.append(str(Path(__file__).parents[1] / "tests"))  # where checkpoints are drawn
    from rwkv.model import RWKV

    from support.rwkv import checkpoint

    V, sizes = RWKVS[kind]
    arrays = checkpoint(kind, V, 768, 12, sizes, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        torch.save({name: torch.tensor(array) for name, array in arrays.items()}, Path(folder, "model.pth"))
        theirs = RWKV(model=str(Path(folder, "model")), strategy="cpu fp32")
    return OfRWKV(theirs), from_rwkv(arrays, "the weights")


def seconds(work: Callable[[Peer], Any], peer: Peer) -> float:
    """Return the CPU time of a call."""
    began = time.process_time()
    work(peer)
    return time.process_time() - began


def main() -> None:
    kind = sys.argv[1] if len(sys.argv) > 1 else "mamba2"
    passes = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    torch.set_num_threads(1)
    theirs, model = mamba(kind) if kind in MAMBAS else rwkv(kind)
    peers: dict[str, Peer] = {
        "elman": Ours(model),
        "elman, bfloat16": Ours(model.in_bfloat16()),
        "transformers" if kind in MAMBAS else "rwkv": theirs,
    }
    ids = np.random.default_rng(0).integers(0, 50000, SCORED + 1)
    works: dict[str, Callable[[Peer], Any]] = {
        f"score {SCORED:,} tokens": lambda peer: peer.score(ids),
        f"write {WRITTEN} tokens after {PROMPT}": lambda peer: peer.write(ids[:PROMPT]),
    }
    expected = theirs.score(ids)
    for name, peer in peers.items():
        found = peer.score(ids)
        print(
            f"{name}: largest difference of ln P {np.abs(found - expected).max():.2g}, mean {found.mean():.4f}"
        )
    print(f"the same tokens written: {peers['elman'].write(ids[:PROMPT]) == theirs.write(ids[:PROMPT])}")
    sizes = {name: f"{peer.size / 1e6:,.0f}" for name, peer in peers.items() if isinstance(peer, Ours)}
    rows = []
    for what, work in works.items():
        times = {name: [] for name in peers}
        for _ in range(passes):
            for name, peer in peers.items():
                times[name].append(seconds(work, peer))
        (*_, other) = times.values()
        for name, own in times.items():
            ratio = statistics.median(there / here for here, there in zip(own, other, strict=True))
            rows.append(
                [kind, what, name, f"{statistics.median(own):.2f}", f"{ratio:.2f}×", sizes.get(name, "–")]
            )
    print(markdown(["model", "work", "library", "CPU time, s", "as fast", "weights, MB"], rows), end="")


if __name__ == "__main__":
    main()
