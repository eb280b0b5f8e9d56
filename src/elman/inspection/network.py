"""A copy of a recurrent model's layers for inspection: their states, gates and gradients for one text.

The copy shares the model's weights, but none of its buffers, so that inspecting a model does not disturb it.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array, to_numpy
from elman.errors import ConfigError
from elman.layers import output
from elman.layers.adaptive import AdaptiveWeights
from elman.models.base import Ids, LanguageModel
from elman.models.mixture import Mixture
from elman.models.parameters import adaptive_softmax_layer, recurrent_layers
from elman.models.recurrent import RecurrentLM
from elman.text_model import TextModel

ROWS = 64  # one-hot gradients, of V numbers each, held in memory at a time


class NoHiddenUnits(ConfigError):
    """Raised for a model that is not a recurrent network and so has no hidden units to inspect."""


def recurrent(model: LanguageModel) -> RecurrentLM:
    """Return the model if it is a recurrent network. Raises NoHiddenUnits if not."""
    if isinstance(model, RecurrentLM):
        return model
    kind = type(model).__name__
    if isinstance(model, Mixture):
        numbers = [str(k) for k, member in enumerate(model.models, 1) if isinstance(member, RecurrentLM)]
        if numbers:
            which = f"number {numbers[0]} is" if len(numbers) == 1 else f"numbers {', '.join(numbers)} are"
            hint = (
                f"of its {len(model.models)} members {which} recurrent: inspect the files it was mixed from"
            )
        else:
            hint = "and none of its members is recurrent"
    elif isinstance(getattr(model, "model", None), RecurrentLM):
        hint = "but the model that it wraps is recurrent: inspect that one"
    else:
        hint = "use a model that was trained with `cell='rnn'` or another cell"
    raise NoHiddenUnits(f"a {kind} has no hidden units of its own; {hint}")


class Network:
    """Recurrent layers that read one text from the zero state and backpropagate a gradient to its word vectors.

    They share only the weights with the model, so that using them does not affect other readers of the model in any
    thread. Gradients of weights are not computed. Everything is in NumPy, on the CPU.
    """

    def __init__(self, model: RecurrentLM) -> None:
        self.weights: dict[str, Array] = {name: to_numpy(weight) for name, weight in model.weights.items()}
        self.one_hot = not model.wordvec_size
        self.layers = recurrent_layers(model.cell, self.weights, len(model.rnn_layers), model.block)

    def read(self, ids: Ids | Sequence[int]) -> NDArray[np.floating]:
        """Return the top layer's hs (T, H) for ids (T,), T ≥ 1; the layers keep their states and gates."""
        xs = self.weights["embedding"][np.asarray(ids, np.intp)][None]  # (1, T, D); for one-hot input x·Wx
        for layer in self.layers:
            xs = layer.forward(xs)
        hs: NDArray[np.floating] = xs[0]
        return hs

    def backpropagate(self, dh: Array) -> NDArray[np.floating]:
        """Return the gradients (T, D) of the word vectors that were read, given the gradient dh (H,) of the last h.

        Backpropagates through all T steps. For one-hot input the result is the gradient of x·Wx, a row of Wx.
        """
        T, H = self.layers[-1].hs.shape[1:]
        dxs = np.zeros((1, T, H), dh.dtype)
        dxs[0, -1] = dh
        for layer in reversed(self.layers):
            upwards, dxs = dxs, layer.begin_backward(dxs)
            layer.backward_steps(0, upwards.shape[1])
        found: NDArray[np.floating] = dxs[0]
        return found

    def input_norms(self, dxs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return ‖∂/∂x_t‖ (T,), given the result of `backpropagate`; x_t is the word vector or the one-hot input."""
        if not self.one_hot:
            return _norms(dxs)
        Wx = self.weights["embedding"]  # (V, G)
        return np.concatenate([_norms(dxs[t : t + ROWS] @ Wx.T) for t in range(0, len(dxs), ROWS)])


def _norms(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the Euclidean norm of every row, in float64 so that squares of small numbers do not underflow."""
    norms: NDArray[np.float64] = np.linalg.norm(rows.astype(np.float64), axis=1)
    return norms


Gradient = tuple[float, NDArray[np.floating]]


def target_gradient(model: RecurrentLM, network: Network, h: Array, target: int) -> Gradient:
    """Return ln P(target | h) and its gradient (H,) with respect to the top layer's h (H,)."""
    weights = network.weights
    if model.adaptive is not None:
        layer = adaptive_softmax_layer(weights, model.adaptive, model.ranks)
        return of_adaptive_softmax(h, target, layer.weights)
    W = weights["embedding"].T if model.tie_weights else weights["output.W"]
    return of_softmax(h, target, W, weights["output.b"])


def of_softmax(h: Array, target: int, W: Array, b: Array) -> Gradient:
    """Return ln P = (h·W + b)[target] - ln Σ exp(h·W + b) and its gradient W·(one-hot - P)."""
    log_probs = output.log_probs(h[None], W, b)[0]  # (V,)
    return float(log_probs[target]), W[:, target] - W @ np.exp(log_probs)


def of_adaptive_softmax(h: Array, target: int, weights: AdaptiveWeights) -> Gradient:
    """Return ln P of the head's entry, plus that within the cluster for words of tail clusters, and the gradient."""
    places = weights.places(np.array([target]))
    ln_prob, dh = of_softmax(h, int(places.in_head[0]), *weights.head)
    cluster = int(places.clusters[0])
    if cluster:
        P, W, b = weights.tails[cluster - 1]
        within = int(places.ranks[0]) - weights.cutoffs[cluster - 1]
        ln_prob_within, dprojected = of_softmax(h @ P, within, W, b)
        return ln_prob + ln_prob_within, dh + P @ dprojected
    return ln_prob, dh


def summary(name: str, text_model: TextModel, comparable: Sequence[str]) -> dict[str, Any]:
    """Return what the page says of a model: None for what it lacks, and the models that read the same texts."""
    model = text_model.model
    found: dict[str, Any] = dict.fromkeys(("cell", "layers", "hidden", "parameters"))
    if isinstance(model, RecurrentLM):
        found = {
            "cell": model.cell,
            "layers": len(model.rnn_layers),
            "hidden": model.hidden_size,
            "parameters": sum(math.prod(weight.shape) for weight in model.weights.values()),
        }
    sizes = {"unit": text_model.unit, **found, "vocabulary": len(text_model.vocabulary)}
    return {"id": name, **sizes, "comparable": list(comparable)}
