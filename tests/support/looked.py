"""Small networks whose insides tests inspect, and a slow reference implementation of reading, in float64."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.layers import GRU, LSTM, RNN
from elman.models import parameters
from elman.models.recurrent import RecurrentLM
from elman.models.recurrent_state import RecurrentState
from elman.text_model import TextModel
from support.tiny import text_model

CELLS = ("rnn", "lstm", "gru")
EVERY_CELL = tuple(parameters.CELLS)
KINDS: dict[str, dict[str, Any]] = {
    "one layer": {"layers": 1},
    "two layers": {"layers": 2},
    "one-hot": {"layers": 2, "D": 0},
    "tied": {"layers": 2, "D": 5, "tie_weights": True},
    "adaptive": {"adaptive": [4, 12]},
}
STEPS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def network(cell: str, kind: str = "one layer", **options: Any) -> TextModel:
    return text_model("word", cell=cell, **{"H": 5, **KINDS[kind], **options})


def recurrent(model: TextModel) -> RecurrentLM:
    assert isinstance(model.model, RecurrentLM)
    return model.model


def inputs(model: RecurrentLM, ids: NDArray[Any]) -> NDArray[np.float64]:
    """The word vectors of ids, or one-hot inputs."""
    W = model.weights["embedding"] if model.wordvec_size else np.eye(model.vocab_size)
    return np.array(W[ids], np.float64)


def walk(model: RecurrentLM, xs: NDArray[np.float64]) -> list[list[dict[str, Any]]]:
    """Values inside each layer after each step of xs (T, D), from the one-step cells: [step][layer][name]."""
    weights, H = model.weights, model.hidden_size
    hs = [np.zeros((1, H)) for _ in model.rnn_layers]
    cs = [np.zeros((1, H)) for _ in model.rnn_layers]
    found = []
    for x in xs:
        below, step = x[None], []
        for k in range(len(hs)):
            names = ("Wx", "Wh", "b", *(("b_h",) if model.cell == "gru" else ()))
            one_hot = k == 0 and not model.wordvec_size
            given = {**weights, **({"0.Wx": weights["embedding"]} if one_hot else {})}
            cell: Any = STEPS[model.cell](*(given[f"{k}.{name}"] for name in names))
            if model.cell == "lstm":
                hs[k], cs[k] = cell.forward(below, hs[k], cs[k])
                i, f, g, o = cell.cache[3:7]
                step.append({"h": hs[k], "c": cs[k], "i": i, "f": f, "g": g, "o": o})
            else:
                hs[k] = cell.forward(below, hs[k])
                r, z, n = (cell.cache[place] for place in (2, 3, 5)) if model.cell == "gru" else (None,) * 3
                step.append({"h": hs[k], "r": r, "z": z, "n": n})
            below = hs[k]
        found.append(step)
    return found


def ln_prob(model: RecurrentLM, xs: NDArray[np.float64], target: int) -> float:
    """ln P(target) after xs (T, D) were read."""
    last = walk(model, xs)[-1]
    state = RecurrentState([each["h"] for each in last], [each["c"] for each in last if "c" in each])
    return float(model.next_log_probs(state)[0, target])


def remembered(model: RecurrentLM) -> dict[str, Any]:
    """Copies of everything in a model that reading could change: weights, gradients, states, flags."""
    parts = [*model.layers, model.loss_layer]
    return {
        "weights": {name: weight.copy() for name, weight in model.weights.items()},
        "grads": [grad.copy() for grad in model.grads],
        "carried": [None if rnn.h is None else rnn.h.copy() for rnn in model.rnn_layers],
        "flags": [getattr(part, "train_flg", None) for part in parts],
        "parts": list(map(id, parts)),
    }
