"""Initial weights of a recurrent language model, drawn in one fixed order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from elman.arrays import Array
from elman.errors import ConfigError
from elman.models.clusters import tail_sizes, tail_width

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
DRAWN_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Weight:
    """A named weight before it is drawn: its shape, and the scale of N(0,1), or a constant where scale is None."""

    shape: tuple[int, ...]
    scale: float | None = None


def plan_weights(
    vocab_size: int,
    wordvec_size: int,
    hidden_size: int,
    cell: str = "rnn",
    layers: int = 1,
    tie_weights: bool = False,
    embedding_scale: float = 0.01,
    adaptive: Sequence[int] | None = None,
) -> dict[str, Weight]:
    """Return every weight's shape and scale, in the order in which they are drawn.

    Embedding N(0,1)·embedding_scale; Wx N(0,1)/√D; Wh and the output's W N(0,1)/√H; biases constant.
    ``wordvec_size=0`` means one-hot input: the embedding holds the rows of the first Wx. ``adaptive``, the
    cutoffs of an adaptive softmax, makes the output that of `TimeAdaptiveSoftmaxWithLoss`.

    Raises:
        ConfigError: the cell is unknown, a size is below 1, sizes do not allow tied weights, or the cutoffs
            do not fit the vocabulary.
    """
    if cell not in GATES:
        raise ConfigError(f"unknown cell {cell!r}; choose from {', '.join(GATES)}")
    for name, size in (("vocab_size", vocab_size), ("hidden_size", hidden_size), ("layers", layers)):
        if size < 1:
            raise ConfigError(f"{name} must be at least 1, got {size}")
    if wordvec_size < 0:
        raise ConfigError(f"wordvec_size must be at least 1, or 0 for one-hot input, got {wordvec_size}")
    if tie_weights and wordvec_size != hidden_size:
        raise ConfigError(
            "tied weights need word vectors as wide as the hidden state, got "
            f"wordvec {wordvec_size} and hidden {hidden_size}"
        )
    if tie_weights and adaptive is not None:
        raise ConfigError(
            "tied weights need one output matrix over all words, and an adaptive softmax has several; "
            "choose one of the two"
        )
    V, D, H, G = vocab_size, wordvec_size, hidden_size, GATES[cell] * hidden_size
    plan = {"embedding": Weight((V, D), embedding_scale) if D else Weight((V, G), V**-0.5)}
    for k in range(layers):
        width = D if k == 0 else H
        if width:
            plan[f"{k}.Wx"] = Weight((width, G), width**-0.5)
        plan[f"{k}.Wh"] = Weight((H, G), H**-0.5)
        plan[f"{k}.b"] = Weight((G,))
        if cell == "gru":
            plan[f"{k}.b_h"] = Weight((H,))
    if adaptive is not None:
        return plan | _plan_adaptive(V, H, adaptive)
    if not tie_weights:
        plan["output.W"] = Weight((H, V), H**-0.5)
    plan["output.b"] = Weight((V,))
    return plan


def _plan_adaptive(V: int, H: int, cutoffs: Sequence[int]) -> dict[str, Weight]:
    sizes = tail_sizes(cutoffs, V)
    entries = cutoffs[0] + len(sizes)
    plan = {"output.head.W": Weight((H, entries), H**-0.5), "output.head.b": Weight((entries,))}
    for k, V_k in enumerate(sizes, 1):
        d = tail_width(H, k)
        plan[f"output.{k}.P"] = Weight((H, d), H**-0.5)
        plan[f"output.{k}.W"] = Weight((d, V_k), d**-0.5)
        plan[f"output.{k}.b"] = Weight((V_k,))
    return plan


def draw_weights(
    plan: dict[str, Weight],
    weight_scale: float | None = None,
    rng: np.random.Generator | None = None,
    dtype: DTypeLike = np.float32,
) -> dict[str, Array]:
    """Return the named weights of a plan; ``rng=None`` draws from NumPy's global stream.

    With ``weight_scale`` every matrix is weight_scale·N(0,1). Biases are 0; without ``weight_scale`` those of
    an LSTM's forget gate and a GRU's update gate are 1, so that the state is kept until the layer learns to
    let go of it (R. Jozefowicz et al., ICML 2015).
    """
    randn: Callable[..., Any] = np.random.randn if rng is None else lambda *shape: rng.standard_normal(shape)
    weights: dict[str, Array] = {}
    for name, weight in plan.items():
        if weight.scale is None:
            weights[name] = np.zeros(weight.shape, dtype)
        else:
            scale = weight.scale if weight_scale is None else weight_scale
            weights[name] = _draw(randn, weight.shape, scale, dtype)
    for name, b in weights.items():
        H = weights["0.Wh"].shape[0]
        if name.endswith(".b") and b.size > H and not name.startswith("output.") and weight_scale is None:
            b[H : 2 * H] = 1  # both cells have that gate in second place
    return weights


def _draw(randn: Callable[..., Any], shape: tuple[int, ...], scale: float, dtype: DTypeLike) -> Array:
    """Return scale·N(0,1) of this shape, drawn a few rows at a time: the draws are float64, and may be many."""
    drawn = np.empty(shape, dtype)
    rows, columns = shape
    step = max(1, DRAWN_AT_ONCE // columns)
    for k in range(0, rows, step):
        part = drawn[k : k + step]
        part[...] = randn(len(part), columns) * scale
    return drawn
