"""The layers of a recurrent language model, made of its named weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from elman.arrays import Array
from elman.layers import TimeAffineSoftmaxWithLoss, TimeGRU, TimeLSTM, TimeRNN
from elman.layers.adaptive import AdaptiveWeights, TimeAdaptiveSoftmaxWithLoss
from elman.layers.embedding import TimeEmbedding
from elman.models.base import Ids

TimeCell = TimeRNN | TimeLSTM | TimeGRU


def recurrent_layer(cell: str, weights: Mapping[str, Array], k: int) -> TimeCell:
    """Return the k-th recurrent layer, which carries its state from block to block."""
    Wx, Wh, b = (weights.get(f"{k}.{name}") for name in ("Wx", "Wh", "b"))
    if cell == "lstm":
        return TimeLSTM(Wx, Wh, b, stateful=True)
    if cell == "gru":
        return TimeGRU(Wx, Wh, b, weights[f"{k}.b_h"], stateful=True)
    return TimeRNN(Wx, Wh, b, stateful=True)


def softmax_layer(weights: Mapping[str, Array], tied: TimeEmbedding | None = None) -> Any:
    """Return the softmax over all words, whose matrix may be that of the word vectors."""
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
