"""A model in one line: its kind, its sizes, and how many numbers it was trained to."""

from typing import Any

import numpy as np

from elman.models.adaptive.cache import CachedModel, NeuralCache
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.base import LanguageModel
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.models.recurrent import RecurrentLM
from elman.models.window import WindowLM
from elman.models.window_models import NPLM


def summary(model: LanguageModel) -> str:
    """Return a model's kind and sizes: ``LSTM 2×200, word vectors 200``."""
    if isinstance(model, Mixture):
        parts = zip(model.weights, model.models, strict=True)
        return "mixture of " + " + ".join(f"{weight:.3g}·({summary(member)})" for weight, member in parts)
    if isinstance(model, CachedModel):
        kind = "neural cache" if isinstance(model, NeuralCache) else "cache"
        return f"{summary(model.model)}, with a {kind} of {model.size:,}"
    if isinstance(model, DynamicModel):
        return f"{summary(model.model)}, learning every {model.block} tokens"
    if isinstance(model, NgramModel):
        return f"{model.order}-gram"
    if isinstance(model, RecurrentLM):
        vectors = f"word vectors {model.wordvec_size}" if model.wordvec_size else "one-hot input"
        tied = ", tied" if model.tie_weights else ""
        output = "" if model.adaptive is None else ", adaptive softmax"
        return f"{model.cell.upper()} {len(model.rnn_layers)}×{model.hidden_size}, {vectors}{tied}{output}"
    if isinstance(model, WindowLM):
        hidden = f", hidden {model.hidden_size}" if isinstance(model, NPLM) else ""
        return f"{model.kind.upper()} of {model.window} tokens, word vectors {model.wordvec_size}{hidden}"
    return type(model).__name__


def parameter_count(model: LanguageModel) -> int:
    """Return the floating-point numbers of a model; of an n-gram model, its probabilities and backoff weights."""
    if isinstance(model, Mixture):
        return sum(map(parameter_count, model.models))
    if isinstance(model, CachedModel | DynamicModel):
        return parameter_count(model.model)
    if isinstance(model, NgramModel):
        return 2 * sum(len(level.weights) - 1 for level in model.levels)
    weights: dict[str, Any] = getattr(model, "weights", {})
    return sum(int(np.prod(weight.shape)) for weight in weights.values())
