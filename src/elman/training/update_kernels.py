"""Compiled updates of float32 parameters: the equations of `elman.training.optimizers` in one pass over the numbers.

Plain Python, which `elman.numba_jit` compiles. All arrays are one-dimensional. ``scale`` and ``limit`` clip the
gradient g, and ``rate`` is the factor of `Optimizer.next_rate`. A decay comes with 1 - decay (``fresh``), because
float32 would lose three digits of the difference.
"""

import numpy as np

from elman.arrays import Array
from elman.numba_jit import jit


@jit
def clipped(g: Array, scale: Array, limit: Array) -> Array:
    """Return scale·g, kept within ±limit."""
    return min(max(g * scale, -limit), limit)


@jit
def shrink(p: Array, lost: Array) -> None:
    """p ← p - lost·p."""
    for k in range(len(p)):
        p[k] -= lost * p[k]


@jit
def sgd(p: Array, g: Array, scale: Array, limit: Array, rate: Array) -> None:
    """p ← p - rate·g."""
    for k in range(len(p)):
        p[k] -= rate * clipped(g[k], scale, limit)


@jit
def momentum(p: Array, g: Array, v: Array, scale: Array, limit: Array, rate: Array, kept: Array) -> None:
    """v ← kept·v - rate·g; p ← p + v."""
    for k in range(len(p)):
        v[k] = kept * v[k] - rate * clipped(g[k], scale, limit)
        p[k] += v[k]


@jit
def adagrad(p: Array, g: Array, s: Array, scale: Array, limit: Array, rate: Array, eps: Array) -> None:
    """s ← s + g²; p ← p - rate·g / √(s + eps)."""
    for k in range(len(p)):
        d = clipped(g[k], scale, limit)
        s[k] += d * d
        p[k] -= rate * d / np.sqrt(s[k] + eps)


@jit
def rmsprop(
    p: Array,
    g: Array,
    s: Array,
    scale: Array,
    limit: Array,
    rate: Array,
    decay: Array,
    fresh: Array,
    eps: Array,
) -> None:
    """s ← decay·s + (1 - decay)·g²; p ← p - rate·g / √(s + eps)."""
    for k in range(len(p)):
        d = clipped(g[k], scale, limit)
        s[k] = decay * s[k] + fresh * (d * d)
        p[k] -= rate * d / np.sqrt(s[k] + eps)


@jit
def adam(
    p: Array,
    g: Array,
    m: Array,
    s: Array,
    scale: Array,
    limit: Array,
    rate: Array,
    beta1: Array,
    fresh1: Array,
    beta2: Array,
    fresh2: Array,
    eps: Array,
) -> None:
    """m ← beta1·m + (1 - beta1)·g; s ← beta2·s + (1 - beta2)·g²; p ← p - rate·m / (√s + eps)."""
    for k in range(len(p)):
        d = clipped(g[k], scale, limit)
        m[k] = beta1 * m[k] + fresh1 * d
        s[k] = beta2 * s[k] + fresh2 * (d * d)
        p[k] -= rate * m[k] / (np.sqrt(s[k]) + eps)
