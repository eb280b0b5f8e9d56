"""Small RWKV checkpoints, under the names and in the layout of the authors' program."""

from typing import Any

import numpy as np

from elman.formats.rwkv import SOURCES
from elman.models.parameters import CELLS

VECTORS = (
    "att.x_",
    "att.w0",
    "att.a0",
    "att.v0",
    "att.k_",
    "ffn.x_",
    "att.time_mix",
    "ffn.time_mix",
)  # (1, 1, D)


def checkpoint(
    cell: str, V: int, D: int, layers: int, sizes: dict[str, int], rng: np.random.Generator
) -> dict[str, Any]:
    """Draw the arrays of a checkpoint, around where the weights of our blocks begin."""
    arrays = {
        "emb.weight": rng.standard_normal((V, D)),
        "head.weight": rng.standard_normal((V, D)) * D**-0.5,
        "ln_out.weight": 1 + 0.2 * rng.standard_normal(D),
        "ln_out.bias": 0.2 * rng.standard_normal(D),
    }
    for k in range(layers):
        plan = CELLS[cell].plan(D, D, layers, k, sizes)
        sources = {name: (source.name, source.transposed) for name, source in SOURCES[cell].items()}
        ends = {"ln0_gain": ("ln0.weight", False), "ln0_bias": ("ln0.bias", False)}
        for name, (theirs, transposed) in {**sources, **ends}.items():
            if name in plan:
                shape = plan[name].shape
                scale = shape[0] ** -0.5 if len(shape) > 1 and name != "r_k" else 0.3
                array = plan[name].start + scale * rng.standard_normal(shape)
                if theirs.startswith(VECTORS):
                    array = array.reshape(1, 1, D)
                arrays[f"blocks.{k}.{theirs}"] = array.T if transposed else array
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
