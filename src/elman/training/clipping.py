"""Gradient clipping, and one gradient for each parameter that is shared."""

import math
from collections.abc import Sequence

from elman.arrays import Array, namespace

Rows = list[Array | None]


def merge_shared(
    params: Sequence[Array], grads: Sequence[Array], rows: Sequence[Array | None]
) -> tuple[list[Array], list[Array], Rows]:
    """Return the lists with every parameter once: a parameter that occurs again (by ``is``) adds its gradient.

    The sum is a new array: a layer that keeps its gradient sparse clears only the rows that it wrote itself.
    """
    place: dict[int, int] = {}
    merged: tuple[list[Array], list[Array], Rows] = ([], [], [])
    for p, g, r in zip(params, grads, rows, strict=True):
        k = place.get(id(p))
        if k is None:
            place[id(p)] = len(merged[0])
            for held, item in zip(merged, (p, g, r), strict=True):
                held.append(item)
        else:
            merged[1][k] = merged[1][k] + g
            merged[2][k] = None
    return merged


def global_norm(grads: Sequence[Array], rows: Sequence[Array | None]) -> float:
    """Return √Σg² over all gradients; only the named rows are read where rows are named."""
    total = 0.0
    for g, r in zip(grads, rows, strict=True):
        flat = (g if r is None else g[r]).reshape(-1)
        total += float(namespace(g).dot(flat, flat))
    return math.sqrt(total) if total >= 0 else math.nan


def clip_by_norm(grads: Sequence[Array], rows: Sequence[Array | None], norm: float, max_grad: float) -> None:
    """Scale all gradients by max_grad / norm, in place, where their global norm exceeds max_grad.

    Source: R. Pascanu, T. Mikolov and Y. Bengio, ICML 2013.
    """
    rate = max_grad / (norm + 1e-6)
    if rate < 1:
        for g, r in zip(grads, rows, strict=True):
            if r is None:
                g *= rate
            else:
                g[r] *= rate


def clip_by_value(grads: Sequence[Array], rows: Sequence[Array | None], limit: float) -> None:
    """Bring every gradient entry into [-limit, limit], in place."""
    for g, r in zip(grads, rows, strict=True):
        if r is None:
            namespace(g).clip(g, -limit, limit, out=g)
        else:
            g[r] = g[r].clip(-limit, limit)
