"""The weights of a neural model by name: their shapes, their initial values, and the layers made from them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import DTypeLike

from elman.arrays import Array
from elman.errors import ConfigError
from elman.layers import (
    TimeAffineSoftmaxWithLoss,
    TimeFPool,
    TimeGRU,
    TimeLSTM,
    TimeMamba,
    TimeMamba2,
    TimeMinGRU,
    TimeMinLSTM,
    TimeMogrifierLSTM,
    TimeQRNN,
    TimeRGLRU,
    TimeRNN,
    TimeRWKV4,
    TimeRWKV7,
    TimeSRU,
)
from elman.layers.adaptive import AdaptiveWeights, TimeAdaptiveSoftmaxWithLoss
from elman.layers.base import Weight
from elman.layers.embedding import TimeEmbedding
from elman.layers.recurrent import StatefulLayer
from elman.layers.residual import OF_CELL, TimeResidualBlock
from elman.models.base import Ids
from elman.models.clusters import tail_sizes, tail_width

CELLS: dict[str, type[Any]] = {  # of `TimeRecurrence`, or of blocks that stand for themselves (``is_block``)
    "rnn": TimeRNN,
    "lstm": TimeLSTM,
    "gru": TimeGRU,
    "mingru": TimeMinGRU,
    "minlstm": TimeMinLSTM,
    "fpool": TimeFPool,
    "qrnn": TimeQRNN,
    "sru": TimeSRU,
    "rglru": TimeRGLRU,
    "mogrifier": TimeMogrifierLSTM,
    "rwkv4": TimeRWKV4,
    "rwkv7": TimeRWKV7,
    "mamba": TimeMamba,
    "mamba2": TimeMamba2,
}
DRAWN_AT_ONCE = 1 << 20  # numbers
MOST_LAYERS = 1_000
Init = Literal["normal", "uniform", "orthogonal", "identity"]
Block = Literal["plain", "residual"]
Draw = Callable[[tuple[int, ...]], Any]


def plan_weights(
    vocab_size: int,
    wordvec_size: int,
    hidden_size: int,
    cell: str = "rnn",
    layers: int = 1,
    tie_weights: bool = False,
    embedding_scale: float = 0.01,
    adaptive: Sequence[int] | None = None,
    block: Block = "plain",
    mlp: int = 0,
    sizes: Mapping[str, int] | None = None,
) -> dict[str, Weight]:
    """Return the shape and scale of every weight, in the order of drawing.

    Embedding: N(0,1)·embedding_scale; the output's W: N(0,1)/√H; the layers' weights: see ``plan`` of the cell's class.
    ``wordvec_size=0`` means one-hot input: the embedding then holds the rows of the first Wx. ``adaptive`` are the
    cutoffs of an adaptive softmax, whose weights are those of `TimeAdaptiveSoftmaxWithLoss`. With ``block="residual"``
    every layer is a `TimeResidualBlock`, with an MLP of width ``mlp`` unless that is 0; H is then the width of the
    cells, and the softmax reads D numbers; so it is with a cell that is a block by itself, whose plan takes ``sizes``.

    Raises:
        ConfigError: the cell or the block is unknown, a size is below 1, there are too many layers, weights cannot be
            tied, the cutoffs do not fit the vocabulary, the input of residual blocks is one-hot, plain layers were
            given an MLP, a block by itself is to be put into another, or a cell without them was given ``sizes``.
    """
    if cell not in CELLS:
        raise ConfigError(f"unknown cell {cell!r}; choose from {', '.join(CELLS)}")
    check_sizes(vocab_size=vocab_size, hidden_size=hidden_size, layers=layers)
    if layers > MOST_LAYERS:
        raise ConfigError(f"layers must be at most {MOST_LAYERS:,}, got {layers:,}")
    if wordvec_size < 0:
        raise ConfigError(f"wordvec_size must be ≥ 1, or 0 for one-hot input, got {wordvec_size}")
    _check_block(block, mlp, wordvec_size)
    _check_block_cell(cell, block, wordvec_size, sizes)
    width = output_size(block, wordvec_size, hidden_size, cell)
    if tie_weights and wordvec_size != width:
        raise ConfigError(
            "tied weights need word vectors as wide as the hidden state, got "
            f"wordvec {wordvec_size} and hidden {hidden_size}"
        )
    if tie_weights and adaptive is not None:
        raise ConfigError(
            "tied weights need one output matrix over all words, but an adaptive softmax has several; "
            "use only one of the two"
        )
    V, D, H = vocab_size, wordvec_size, hidden_size
    columns = D or CELLS[cell].gates_of(0, H) * H
    plan = {"embedding": Weight((V, columns), embedding_scale if D else V**-0.5)}
    for k in range(layers):
        if CELLS[cell].is_block:
            of_layer = CELLS[cell].plan(D, H, layers, k, sizes)
        elif block == "residual":
            of_layer = TimeResidualBlock.plan(CELLS[cell], D, H, layers, mlp, last=k == layers - 1)
        else:
            of_layer = CELLS[cell].plan(H if k else D, H)
        plan |= {f"{k}.{name}": weight for name, weight in of_layer.items()}
    if adaptive is not None:
        return plan | _plan_adaptive(V, width, adaptive)
    return plan | plan_output(V, width, tie_weights)


def output_size(block: Block, wordvec_size: int, hidden_size: int, cell: str) -> int:
    """Return the width of what the softmax reads: that of the word vectors for residual blocks, else H."""
    return wordvec_size if block == "residual" or CELLS[cell].is_block else hidden_size


def _check_block_cell(cell: str, block: Block, wordvec_size: int, sizes: Mapping[str, int] | None) -> None:
    """Raise ConfigError for what does not go with a cell that is a block by itself, or only with such a one."""
    if not CELLS[cell].is_block:
        if sizes:
            raise ConfigError(f"`cell={cell!r}` has no sizes but `hidden`; leave out {', '.join(sizes)}")
    elif block != "plain":
        raise ConfigError(
            f"`cell={cell!r}` is a residual block by itself; leave out `block={block!r}`, or use another cell"
        )
    elif not wordvec_size:
        raise ConfigError(
            f"`cell={cell!r}` adds to the word vectors, but wordvec is 0 (one-hot input); set `wordvec`, to 100 say"
        )


def _check_block(block: Block, mlp: int, wordvec_size: int) -> None:
    if block not in get_args(Block):
        raise ConfigError(f"unknown block {block!r}; choose from {', '.join(get_args(Block))}")
    if mlp < 0:
        raise ConfigError(f"mlp must be ≥ 1, or 0 for none, got {mlp}")
    if mlp and block != "residual":
        raise ConfigError(
            f"`mlp={mlp}` is the width of an MLP in residual blocks; add `block='residual'`, or leave it out"
        )
    if block == "residual" and not wordvec_size:
        raise ConfigError(
            "residual blocks add to the word vectors, but wordvec is 0 (one-hot input); set `wordvec`, to 100 say, or "
            "leave out `block='residual'`"
        )


def check_sizes(**sizes: int) -> None:
    """Raise ConfigError for a size below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ConfigError(f"{name} must be ≥ 1, got {size}")


def plan_output(V: int, H: int, tie_weights: bool) -> dict[str, Weight]:
    """Return the plan of a softmax over all V words; a tied matrix is the embedding and not part of it."""
    plan = {} if tie_weights else {"output.W": Weight((H, V), H**-0.5)}
    return {**plan, "output.b": Weight((V,))}


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
    init: Init = "normal",
) -> dict[str, Array]:
    """Return the named weights of a plan; with ``rng=None`` NumPy's global generator draws them.

    With ``weight_scale`` every matrix is weight_scale·N(0,1), or U(-weight_scale, weight_scale) where ``init`` is
    "uniform" (W. Zaremba et al., 2014). "orthogonal" (A. Saxe et al., ICLR 2014) and "identity" (Q. V. Le et al.,
    2015, for rectified units; tanh is close to the identity only near 0) set Wh, for each gate separately, and for the
    plain RNN only, respectively; the other matrices are then as for "normal".

    What is not drawn begins as planned: some gates are open at first, so that the state is kept until the layer learns
    to forget it (R. Jozefowicz et al., ICML 2015). With ``weight_scale`` all biases are 0.

    Raises:
        ConfigError: ``init`` is unknown, does not fit the cell, or lacks its scale.
    """
    _check_init(init, plan, weight_scale)
    draw = _source(init, rng)
    weights: dict[str, Array] = {}
    for name, weight in plan.items():
        if weight.scale is None:
            as_planned = weight_scale is None or not weight.scalable
            weights[name] = np.full(weight.shape, weight.start if as_planned else 0.0, dtype)
        else:
            scale = weight.scale if weight_scale is None else weight_scale
            weights[name] = _draw(draw, weight.shape, scale, dtype)
            if name.endswith(".Wh") and init == "orthogonal":
                weights[name][...] = orthogonal_blocks(weights[name])
            elif name.endswith(".Wh") and init == "identity":
                weights[name][...] = np.eye(len(weights[name]))
    return weights


def _check_init(init: Init, plan: dict[str, Weight], weight_scale: float | None) -> None:
    if init not in get_args(Init):
        raise ConfigError(f"unknown init {init!r}; choose from {', '.join(get_args(Init))}")
    if init == "uniform" and not weight_scale:
        raise ConfigError(
            "init 'uniform' draws from U(-weight_scale, weight_scale) and needs weight_scale; set it, to 0.1 say"
        )
    of_hidden = next((weight.shape for name, weight in plan.items() if name.endswith(".Wh")), None)
    if init in ("orthogonal", "identity") and of_hidden is None:
        raise ConfigError(
            f"init {init!r} is for a hidden-to-hidden matrix Wh, which this model has not; use another cell, or "
            "init='normal'"
        )
    rows, columns = of_hidden or (0, 0)
    if init == "identity" and rows != columns:
        raise ConfigError(
            f"init 'identity' needs a square Wh, which only cell='rnn' has; here it is {rows} x {columns}; "
            "use cell='rnn', or init='orthogonal'"
        )


def _source(init: Init, rng: np.random.Generator | None) -> Draw:
    """Return the function that draws an array of a shape: from U(-1, 1) or N(0, 1)."""
    if init == "uniform":
        uniform = np.random.uniform if rng is None else rng.uniform
        return lambda shape: uniform(-1.0, 1.0, shape)
    return np.random.standard_normal if rng is None else rng.standard_normal


def orthogonal_blocks(W: Array) -> Array:
    """Return W (H, k·H) with each of its k square blocks made orthogonal; uniformly distributed for normal W."""
    H, G = W.shape
    blocks = W.astype(np.float64).reshape(H, G // H, H).swapaxes(0, 1)  # (k, H, H)
    Q, R = np.linalg.qr(blocks)
    Q *= np.sign(np.diagonal(R, axis1=1, axis2=2))[:, None, :]  # makes the factorisation unique
    return Q.swapaxes(0, 1).reshape(H, G)


def _draw(draw: Draw, shape: tuple[int, ...], scale: float, dtype: DTypeLike) -> Array:
    """Return scale times random numbers of this shape, drawn a few rows at a time: the draws are float64."""
    drawn = np.empty(shape, dtype)
    rows, columns = shape
    step = max(1, DRAWN_AT_ONCE // columns)
    for k in range(0, rows, step):
        part = drawn[k : k + step]
        part[...] = draw((len(part), columns)) * scale
    return drawn


def add_cell(name: str, layer: type[StatefulLayer]) -> None:
    """Make a recurrent layer of one's own available as ``RecurrentLM(..., cell=name)``, in this process.

    Layers are built by the names that ``layer.plan(D, H)`` gives to its weights. A layer that is a block by itself, of
    width D, has ``is_block = True`` and ``plan(D, H, layers, k, sizes)``, for block k of so many.

    Raises:
        ConfigError: another layer has this name already.
    """
    if CELLS.setdefault(name, layer) is not layer:
        raise ConfigError(f"there is a cell {name!r} already; give yours another name")


def recurrent_layers(
    cell: str, weights: Mapping[str, Array], layers: int, block: Block = "plain"
) -> list[StatefulLayer]:
    """Return the recurrent layers of a model, which are stateful, bottom first; see `recurrent_layer`."""
    first, *others = stack = [recurrent_layer(cell, weights, k, block) for k in range(layers)]
    for layer in others:
        layer.connect(first)
    return stack


def recurrent_layer(cell: str, weights: Mapping[str, Array], k: int, block: Block = "plain") -> StatefulLayer:
    """Return the k-th recurrent layer, or the k-th residual block; it is stateful."""
    of_layer = {
        name.removeprefix(f"{k}."): weight for name, weight in weights.items() if name.startswith(f"{k}.")
    }
    made: StatefulLayer
    if CELLS[cell].is_block:
        made = CELLS[cell](**of_layer, stateful=True)
        return made
    if block == "plain":
        made = CELLS[cell](**{"Wx": None, **of_layer}, stateful=True)
        return made
    of_cell = {name: weight for name, weight in of_layer.items() if name.startswith(OF_CELL)}
    of_block = {name: weight for name, weight in of_layer.items() if name not in of_cell}
    inside = CELLS[cell](
        **{name.removeprefix(OF_CELL): weight for name, weight in of_cell.items()}, stateful=True
    )
    return TimeResidualBlock(inside, **of_block)


def softmax_layer(weights: Mapping[str, Array], tied: TimeEmbedding | None = None) -> Any:
    """Return the softmax over all words; its matrix may be ``tied`` to the word vectors."""
    if tied is None:
        return TimeAffineSoftmaxWithLoss(weights["output.W"], weights["output.b"])
    (W,), (dW,) = tied.params, tied.grads
    return TimeAffineSoftmaxWithLoss(W.T, weights["output.b"], dW.T)


def adaptive_softmax_layer(weights: Mapping[str, Array], cutoffs: Sequence[int], ranks: Ids | None) -> Any:
    """Return the adaptive softmax with these cutoffs."""
    tails = range(1, len(cutoffs) + 1)
    return TimeAdaptiveSoftmaxWithLoss(
        AdaptiveWeights(
            (weights["output.head.W"], weights["output.head.b"]),
            [(weights[f"output.{k}.P"], weights[f"output.{k}.W"], weights[f"output.{k}.b"]) for k in tails],
            ranks,
        )
    )
