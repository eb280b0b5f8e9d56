"""The gradient of ln P(target) with respect to the hidden state that it is predicted from."""

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array
from elman.inspection.network import Network
from elman.layers import output
from elman.layers.adaptive import AdaptiveWeights
from elman.models.rnnlm import RecurrentLM
from elman.models.stack import adaptive_softmax_layer

Gradient = tuple[float, NDArray[np.floating]]


def target_gradient(model: RecurrentLM, network: Network, h: Array, target: int) -> Gradient:
    """Return ln P(target | h) and its gradient (H,) for the top layer's h (H,); no gradient of a weight is made."""
    weights = network.weights
    if model.adaptive is not None:
        layer = adaptive_softmax_layer(weights, model.adaptive, model.ranks)
        return of_adaptive_softmax(h, target, layer.weights)
    W = weights["embedding"].T if model.tie_weights else weights["output.W"]
    return of_softmax(h, target, W, weights["output.b"])


def of_softmax(h: Array, target: int, W: Array, b: Array) -> Gradient:
    """ln P = (h·W + b)[target] - ln Σ exp(h·W + b), so ∂ln P/∂h = W·(one-hot - P)."""
    log_probs = output.log_probs(h[None], W, b)[0]  # (V,)
    return float(log_probs[target]), W[:, target] - W @ np.exp(log_probs)


def of_adaptive_softmax(h: Array, target: int, weights: AdaptiveWeights) -> Gradient:
    """ln P is that of the head's entry and, of a word in a tail cluster, that within the cluster, of h·P_k."""
    places = weights.places(np.array([target]))
    ln_prob, dh = of_softmax(h, int(places.in_head[0]), *weights.head)
    cluster = int(places.clusters[0])
    if cluster:
        P, W, b = weights.tails[cluster - 1]
        within = int(places.ranks[0]) - weights.cutoffs[cluster - 1]
        ln_prob_within, dprojected = of_softmax(h @ P, within, W, b)
        return ln_prob + ln_prob_within, dh + P @ dprojected
    return ln_prob, dh
