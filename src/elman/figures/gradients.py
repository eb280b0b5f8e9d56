"""The gradients that figures of backpropagation through time show, measured one step at a time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array
from elman.errors import ConfigError
from elman.layers import GRU, LSTM, RNN, TimeRNN
from elman.models.recurrent import RecurrentLM

CELLS: dict[str, Any] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def gradient_norms(model: RecurrentLM, ids: NDArray[np.integer], time_size: int) -> NDArray[np.float64]:
    """Return ‖dh_t‖ (L,) over a sequence of ids (L + 1,): the gradient of the mean loss with respect to h_t.

    It is what comes from above at step t plus what flows back from step t + 1, which is cut after every ``time_size``
    steps. The model is not changed.

    Raises:
        ConfigError: the model has several recurrent layers or an adaptive softmax.
    """
    if len(model.rnn_layers) != 1 or model.adaptive is not None:
        raise ConfigError(f"the model must have one recurrent layer and a plain softmax, got {model!r}")
    xs, ts = np.asarray(ids[:-1]), np.asarray(ids[1:])
    V, L = model.vocab_size, len(xs)
    inputs = model.weights["embedding"][xs] if model.wordvec_size else np.eye(V)[xs]  # (L, D)
    weights = (
        model.rnn_layer.params if model.wordvec_size else [model.embedding.params[0], *model.rnn_layer.params]
    )
    cells = [CELLS[model.cell](*weights) for _ in range(L)]
    states = _start(model)
    hs = np.zeros((L, model.hidden_size))
    for t, cell in enumerate(cells):
        states = _tuple(cell.forward(inputs[t : t + 1], *states))
        hs[t] = states[0]
    W, b = model.loss_weights  # (H, V), (V,)
    scores = hs @ W + b
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    above = (probabilities - np.eye(V)[ts]) @ W.T / L  # (L, H), of the mean of the L losses
    norms = np.zeros(L)
    for t in reversed(range(L)):
        if (t + 1) % time_size == 0 or t == L - 1:
            flowing = _start(model)
        arriving = above[t] + flowing[0]
        norms[t] = np.linalg.norm(arriving)
        flowing = cells[t].backward(arriving, *flowing[1:])[1:]
    return norms


def step_gradients(layer: TimeRNN, xs: Array, dhs: Array) -> dict[str, list[Array]]:
    """Return the gradients at each of T steps of a TimeRNN: from ``above``, ``arriving`` (with what flows back),
    of the ``inputs``, and ``flowing`` to the step before.
    """
    cells = [RNN(*layer.params) for _ in range(xs.shape[1])]
    h = np.zeros((xs.shape[0], len(layer.Wh)))
    for t, cell in enumerate(cells):
        h = cell.forward(xs[:, t], h)
    found: dict[str, list[Array]] = {"above": [], "arriving": [], "inputs": [], "flowing": []}
    flowing = np.zeros_like(h)
    for t in reversed(range(len(cells))):
        arriving = dhs[:, t] + flowing
        dx, flowing = cells[t].backward(arriving)
        for name, value in zip(found, (dhs[:, t], arriving, dx, flowing), strict=True):
            found[name].insert(0, value)
    return found


def _start(model: RecurrentLM) -> tuple[Array, ...]:
    """Return zeros for every state of the cell: h, and c of an LSTM."""
    return tuple(np.zeros((1, model.hidden_size)) for _ in model.rnn_layer.states)


def _tuple(states: Any) -> tuple[Array, ...]:
    return states if isinstance(states, tuple) else (states,)
