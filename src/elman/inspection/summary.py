"""What a model is, in a few numbers."""

import math
from typing import Any

from elman.models.rnnlm import RecurrentLM
from elman.models.text_model import TextModel


def summary(name: str, text_model: TextModel) -> dict[str, Any]:
    """Return the id, unit, cell, layers, hidden units, weights and words of a model; None for what it has not."""
    model = text_model.model
    found: dict[str, Any] = dict.fromkeys(("cell", "layers", "hidden", "parameters"))
    if isinstance(model, RecurrentLM):
        found = {
            "cell": model.cell,
            "layers": len(model.rnn_layers),
            "hidden": model.hidden_size,
            "parameters": sum(math.prod(weight.shape) for weight in model.weights.values()),
        }
    return {"id": name, "unit": text_model.unit, **found, "vocabulary": len(text_model.vocabulary)}
