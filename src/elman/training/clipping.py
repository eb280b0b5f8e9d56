"""Gradient clipping, and one gradient for each parameter that is shared."""

import math
from collections.abc import Sequence
from functools import partial

from elman.arrays import Array, namespace
from elman.crew import shares, side_by_side

Rows = list[Array | None]
WORTH_A_HAND = 1 << 19  # numbers, fewer than which are not worth another thread


def merge_shared(
    params: Sequence[Array], grads: Sequence[Array], rows: Sequence[Array | None]
) -> tuple[list[Array], list[Array], Rows]:
    """Return the lists with every parameter once: a parameter that occurs again (by ``is``) adds its gradient.

    The sum is a new array: a layer that keeps its gradient sparse clears only the rows that it wrote itself.
    """
    if len({id(p) for p in params}) == len(params):
        return list(params), list(grads), list(rows)
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
    total = sum(_square((g if r is None else g[r]).reshape(-1)) for g, r in zip(grads, rows, strict=True))
    return math.sqrt(total) if total >= 0 else math.nan


def _square(flat: Array) -> float:
    """Return Σg² of g (n,)."""
    dot, parts = namespace(flat).dot, shares(len(flat), WORTH_A_HAND)
    if len(parts) == 1:
        return float(dot(flat, flat))
    found = [0.0] * len(parts)

    def work(k: int) -> None:
        found[k] = float(dot(flat[parts[k]], flat[parts[k]]))

    side_by_side(*(partial(work, k) for k in range(len(parts))))
    return sum(found)


def norm_scale(norm: float, max_grad: float | None) -> float:
    """Return the factor that brings gradients of this global norm down to max_grad: 1 where they need none.

    Source: R. Pascanu, T. Mikolov and Y. Bengio, ICML 2013.
    """
    return 1.0 if max_grad is None else min(1.0, max_grad / (norm + 1e-6))
