"""Check a backward pass: compare its gradients with central differences of the forward pass.

    ∂L/∂p ≈ (L(p + ε) - L(p - ε)) / 2ε,   L = Σ forward(x)∘R   for a fixed random R

(If the output is a single number, it is L.) In float64 the two agree to about nine digits.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from elman.arrays import Array
from elman.errors import ConfigError
from elman.layers import (
    Recursive,
    TimeAdaptiveSoftmaxWithLoss,
    TimeAffine,
    TimeAffineSoftmaxWithLoss,
    TimeBidirectional,
    TimeEmbedding,
    TimeGRU,
    TimeLSTM,
    TimeResidualBlock,
    TimeSoftmaxWithLoss,
)
from elman.layers.adaptive import AdaptiveWeights
from elman.models.parameters import CELLS, draw_weights
from elman.models.recurrent import RecurrentLM
from elman.models.window_models import CBOW, NPLM
from elman.results import Table


@dataclass(frozen=True)
class GradientRow:
    """The result for one gradient of a layer: the largest absolute and relative error of ``checked`` entries."""

    layer: str
    name: str
    shape: tuple[int, ...]
    checked: int
    max_abs_error: float
    max_rel_error: float
    passed: bool


class GradientReport(Table[GradientRow]):
    """The results of a check: one row for every parameter, for the input, and for the carried state."""

    left = 3

    @property
    def passed(self) -> bool:
        """Whether every row passed."""
        return all(row.passed for row in self.rows)

    def text_rows(self) -> list[list[str]]:
        """Return the table as text; a gradient that did not pass is WRONG."""
        head = ["layer", "gradient of", "shape", "entries", "worst error", "verdict"]
        return [head, *map(_text_row, self)]


def _text_row(row: GradientRow) -> list[str]:
    shape, verdict = "×".join(map(str, row.shape)), "ok" if row.passed else "WRONG"
    return [row.layer, row.name, shape, str(row.checked), f"{row.max_rel_error:.1e}", verdict]


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
        x: the input; integer ids have no gradient and are not checked.
        args: further arguments of `forward` (targets).
        before: an earlier block to read first, so that a *second* block is checked, with a fixed incoming state as in
            truncated BPTT. Both start from zeros if it is not given.
        eps: the step ε of the difference.
        tolerance: the largest difference allowed, relative to ``max(|analytic| + |numeric|, 1e-2·largest)``.
        max_entries: how many entries of each array are checked, drawn at random if it has more.
        rng: draws R and the entries.

    Raises:
        ConfigError: a parameter or the input is floating but not float64, so that the differences would be noise.
    """
    x_is_float = np.issubdtype(x.dtype, np.floating)
    named = [(f"params[{k}]", p) for k, p in enumerate(layer.params)] + [("the input", x)] * x_is_float
    for name, array in named:
        if array.dtype != np.float64:
            raise ConfigError(f"{name} is {array.dtype}; a gradient check needs float64 arrays")
    rng = rng if rng is not None else np.random.default_rng(0)
    parts = (layer, *getattr(layer, "layers", ()))
    _reset(parts)
    if before is not None:
        layer.forward(before, *args)
    states = [] if before is None else _carried_states(parts)
    carried = layer.carried_state() if hasattr(layer, "carried_state") and not states else None

    def forward() -> Array:
        _reset(parts)  # every difference must start from the same state
        for part, state in states:
            part.carry(state) if hasattr(part, "carried") else part.set_state(**state)
        if carried is not None:
            layer.carry(carried)
        return layer.forward(x, *args)

    out = forward()
    scalar = np.ndim(out) == 0
    R = None if scalar else rng.standard_normal(out.shape)

    def loss() -> float:
        out = forward()
        return float(out) if scalar else float((out * R).sum())

    dx = layer.backward() if scalar else layer.backward(R)
    checked: list[tuple[str, Array, Array]] = [
        (f"params[{k}]", p, np.array(g))
        for k, (p, g) in enumerate(zip(layer.params, layer.grads, strict=True))
    ]
    if dx is not None and x_is_float:
        checked.append(("input", x, np.array(dx)))
    checked += [
        (f"incoming {name}", value, np.array(getattr(part, f"d{name}")))
        for part, state in states
        for name, value in state.items()
        if getattr(part, f"d{name}", None) is not None
    ]
    layer_name = type(layer).__name__
    return GradientReport(
        [_compare(layer_name, name, p, g, loss, eps, tolerance, max_entries, rng) for name, p, g in checked]
    )


def _reset(parts: tuple[Any, ...]) -> None:
    """Set the state of every part that carries one to zeros."""
    for part in parts:
        if hasattr(part, "reset_state"):
            part.reset_state()


def _carried_states(parts: tuple[Any, ...]) -> list[tuple[Any, dict[str, Array]]]:
    """Return each part that takes a carried state, with copies of what it carries; a user's layer: its h and c."""
    found = []
    for part in parts:
        takes_state = hasattr(part, "set_state") or hasattr(part, "carried")
        if not (takes_state and getattr(part, "stateful", True)):
            continue
        own = {name: getattr(part, name, None) for name in ("h", "c")}
        values = part.carried() if hasattr(part, "carried") else own
        state = {name: np.array(value) for name, value in values.items() if value is not None}
        if state:
            found.append((part, state))
    return found


def _compare(
    layer: str,
    name: str,
    p: Array,
    analytic: Array,
    loss: Any,
    eps: float,
    tolerance: float,
    most: int,
    rng: np.random.Generator,
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
    # the difference of two losses of size L carries rounding of about 1e-16·L, divided by eps
    rounding = 1e-15 * max(1.0, abs(above), abs(below)) / eps
    error = np.abs(exact - numeric)
    # entries near zero are compared at the scale of the array: there the differences are rounding alone
    scale = np.maximum(np.abs(exact) + np.abs(numeric), 1e-2 * np.abs(analytic).max() + 1e-12)
    passed = bool((error <= tolerance * scale + rounding).all())
    return GradientRow(
        layer, name, tuple(p.shape), len(chosen), float(error.max()), float((error / scale).max()), passed
    )


N, T, D, H, V = 2, 5, 3, 4, 6  # of the layers that `check_all_gradients` checks


def check_all_gradients(seed: int = 0) -> GradientReport:
    """Compare every layer's backward pass with central differences, in float64, on the second block.

    Recurrent, bidirectional and recursive layers, output layers, whole recurrent models of two layers and window models
    are checked; ``seed`` draws weights and inputs. A layer of one's own is checked by `check_gradients`.
    """
    rng = np.random.default_rng(seed)

    def randn(*shape: int) -> Any:
        return rng.standard_normal(shape)

    xs, before = randn(N, T, D), randn(N, T, D)
    ids, ts = rng.integers(0, V, (N, T)), rng.integers(0, V, (N, T))

    def weights(gates: int) -> tuple[Any, Any, Any]:
        return randn(D, gates * H), randn(H, gates * H), randn(gates * H)

    def entries(cell: Any) -> int:
        return 25 if cell.is_block else 200  # blocks have many weights

    rows: list[GradientRow] = []
    for cell in CELLS.values():
        plan = cell.plan(D, H)
        drawn = {name: randn(*weight.shape) for name, weight in plan.items()}
        if cell.is_block:  # whose norms and decays need weights near those of a model
            drawn = draw_weights(plan, 0.5, rng, np.float64)
        rows += check_gradients(cell(**drawn, stateful=True), xs, before=before, max_entries=entries(cell))
    block = TimeResidualBlock(
        TimeGRU(*weights(3), randn(H), stateful=True),
        *(randn(*shape) for shape in ((D,), (D, H), (H, D), (D,), (D, H), (D, H), (H, D), (D,))),
    )
    rows += check_gradients(block, xs, before=before)
    both = TimeBidirectional(TimeLSTM(*weights(4)), TimeLSTM(*weights(4)))
    rows += check_gradients(both, xs, np.array([T, T - 2]))
    trees = [[0, 1], [2, 3], [6, 4], [7, 5]]  # ((0 1) 4) and ((2 3) 5)
    rows += check_gradients(Recursive(randn(H, H), randn(H, H), randn(H)), randn(6, H), np.array(trees))
    rows += check_gradients(TimeEmbedding(randn(V, D)), ids)
    rows += check_gradients(TimeAffine(randn(D, V), randn(V)), xs)
    rows += check_gradients(TimeSoftmaxWithLoss(), randn(N, T, V), ts)
    rows += check_gradients(TimeAffineSoftmaxWithLoss(randn(D, V), randn(V)), xs, ts)
    head, tail = (randn(D, 3), randn(3)), (randn(D, 2), randn(2, V - 2), randn(V - 2))
    clusters = TimeAdaptiveSoftmaxWithLoss(AdaptiveWeights(head, [tail], rng.permutation(V)))
    rows += check_gradients(clusters, xs, ts, before=before)
    for name in CELLS:
        model = RecurrentLM(V, D, H, name, layers=2, rng=rng, weight_scale=0.5, dtype=np.float64)
        eps = 1e-6 if CELLS[name].is_block else 1e-5  # the norms of blocks make the loss more curved
        most = entries(CELLS[name])
        found = check_gradients(model, ids, ts, before=ids[:, ::-1], eps=eps, max_entries=most)
        rows += [replace(row, layer=f"RecurrentLM {name}, 2 layers") for row in found]
    scales: dict[str, Any] = {"rng": rng, "weight_scale": 0.5, "dtype": np.float64}
    for window in (CBOW(V, D, 3, **scales), NPLM(V, D, H, 3, **scales)):
        found = check_gradients(window, ids, ts, before=ids[:, ::-1])
        rows += [replace(row, layer=f"{type(window).__name__}, 3 words") for row in found]
    return GradientReport(rows)
