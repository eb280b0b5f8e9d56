"""Prove a backward pass: compare its gradients with central differences of the forward pass.

    ∂L/∂p ≈ (L(p + ε) - L(p - ε)) / 2ε,   L = Σ forward(x)∘R   for a fixed random R

(L is the output itself where that is one number.) In float64 the two agree to about nine digits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.arrays import Array
from elman.errors import ConfigError


@dataclass(frozen=True)
class GradientRow:
    """How well one gradient agrees: the largest absolute and relative differences over ``checked`` entries."""

    name: str
    shape: tuple[int, ...]
    checked: int
    max_abs_error: float
    max_rel_error: float
    passed: bool


@dataclass(frozen=True)
class GradientReport:
    """One row for every parameter, for the input, and for the carried state."""

    rows: tuple[GradientRow, ...]

    @property
    def passed(self) -> bool:
        """True where every row passed."""
        return all(row.passed for row in self.rows)


def check_gradients(
    layer: Any,
    x: Array,
    *args: Array,
    before: Array | None = None,
    eps: float = 1e-5,
    tolerance: float = 1e-6,
    max_entries: int = 200,
    rng: np.random.Generator | None = None,
) -> GradientReport:
    """Compare ``layer.backward`` with central differences, for every parameter, the input and the state.

    Args:
        layer: anything with ``params``, ``grads``, ``forward(x, *args)`` and ``backward(dout)``, in float64.
        x: the input; integer ids have no gradient and are left alone.
        args: what else `forward` takes (targets).
        before: an earlier block: it is read first, so that what is checked is a *second* block, whose
            incoming state is held fixed as truncated BPTT does.
        eps: the step of the difference.
        tolerance: the largest difference allowed, relative to max(|analytic| + |numeric|, 1e-2·largest).
        max_entries: entries checked of each array, drawn at random where it has more.
        rng: draws R and the entries.

    Raises:
        ConfigError: a parameter is not float64, so that differences would be noise.
    """
    for k, p in enumerate(layer.params):
        if p.dtype != np.float64:
            raise ConfigError(f"params[{k}] is {p.dtype}; a gradient check needs float64 weights")
    rng = rng if rng is not None else np.random.default_rng(0)
    if before is not None:
        layer.forward(before, *args)
    states = [] if before is None else _carried_states(layer)

    def forward() -> Array:
        for part, state in states:
            part.set_state(**state)
        return layer.forward(x, *args)

    out = forward()
    scalar = np.ndim(out) == 0
    R = None if scalar else rng.standard_normal(out.shape)

    def loss() -> float:
        out = forward()
        return float(out) if scalar else float((out * R).sum())

    dx = layer.backward() if scalar else layer.backward(R)
    checked: list[tuple[str, Array, Array]] = [
        (f"params[{k}]", p, np.array(g)) for k, (p, g) in enumerate(zip(layer.params, layer.grads, strict=True))
    ]
    if dx is not None and np.issubdtype(x.dtype, np.floating):
        checked.append(("input", x, np.array(dx)))
    checked += [
        (f"incoming {name}", value, np.array(getattr(part, f"d{name}")))
        for part, state in states
        for name, value in state.items()
    ]
    return GradientReport(
        tuple(_compare(name, p, g, loss, eps, tolerance, max_entries, rng) for name, p, g in checked)
    )


def _carried_states(layer: Any) -> list[tuple[Any, dict[str, Array]]]:
    """Return each recurrent part (the layer itself, or the layers of a model) with copies of its h and c."""
    found = []
    for part in (layer, *getattr(layer, "layers", ())):
        values = {name: getattr(part, name, None) for name in ("h", "c")}
        state = {name: np.array(value) for name, value in values.items() if value is not None}
        if state:
            found.append((part, state))
    return found


def _compare(
    name: str, p: Array, analytic: Array, loss: Any, eps: float, tolerance: float, most: int, rng: np.random.Generator
) -> GradientRow:
    chosen = np.arange(p.size) if p.size <= most else rng.choice(p.size, most, replace=False)
    numeric = np.empty(len(chosen))
    for j, k in enumerate(chosen):
        place = np.unravel_index(k, p.shape)
        kept = p[place]
        p[place] = kept + eps
        above = loss()
        p[place] = kept - eps
        below = loss()
        p[place] = kept
        numeric[j] = (above - below) / (2 * eps)
    exact = analytic.reshape(-1)[chosen]
    error = np.abs(exact - numeric)
    # entries near zero are compared at the scale of the array: there the differences are rounding alone
    scale = np.maximum(np.abs(exact) + np.abs(numeric), 1e-2 * np.abs(analytic).max() + 1e-12)
    worst = float((error / scale).max())
    return GradientRow(name, tuple(p.shape), len(chosen), float(error.max()), worst, worst <= tolerance)
