"""A copy of a model that learns from one block of a text at a time, and the sizes of its gradients."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.arrays import Array, to_numpy, zeros
from elman.errors import ConfigError, TextError, TrainingDiverged
from elman.models.base import Ids, LanguageModel, LogProbs, Mask
from elman.models.gradient_step import spans
from elman.models.rnnlm import RecurrentLM
from elman.models.window import WindowLM

BLOCKS = 500  # of the text that the mean squares are taken from: a fifth of them serve as well


@dataclass(frozen=True)
class BlockRead:
    """Of k predicted tokens: ln P of each (k,), the h (k, H) that each was predicted from, the state before the last.

    H is 0 for a model without hidden states that are carried.
    """

    log_probs: LogProbs
    hidden: Array
    after: Any


class Learner:
    """A model's double with weights of its own and no dropout, for the gradient of a block.

    Raises:
        ConfigError: the model is neither recurrent nor of a window.
    """

    def __init__(self, model: LanguageModel) -> None:
        if not isinstance(model, RecurrentLM | WindowLM):
            raise ConfigError(
                "dynamic evaluation needs a model that is trained by its gradient, which "
                f"{type(model).__name__} is not; take --cache"
            )
        self.model = _double(model)

    def score(self, ids: Ids, state: Any, counted: Mask) -> tuple[LogProbs, Array, Any]:
        """Predict ids (T,) after a one-lane state; return ln P (T,), the h (T, H) of each, and the state after.

        Raises:
            TrainingDiverged: a ln P is not finite.
        """
        if isinstance(self.model, RecurrentLM):
            scores, hidden, after = self.model.target_log_probs_and_hidden(ids[None], state, counted[None])
        else:
            scores, after = self.model.target_log_probs(ids[None], state, counted[None])
            hidden = self._no_hidden(len(ids))[None]
        _check(float(scores.sum()))
        return scores[0], hidden[0], after

    def read(self, before: Any, tokens: Ids) -> BlockRead:
        """Predict tokens[1:] of tokens (k + 1,) from the state before tokens[0]; leave the gradients of the mean loss.

        Raises:
            TrainingDiverged: the loss is not finite.
        """
        model = self.model
        model.carry(before)
        _check(model.forward(tokens[None, :-1], tokens[None, 1:]))
        log_probs = np.array(-to_numpy(model.loss_layer.nlls))
        recurrent = isinstance(model, RecurrentLM)
        hidden = model.rnn_layers[-1].hs[0] + 0 if recurrent else self._no_hidden(len(log_probs))
        model.backward()
        return BlockRead(log_probs, hidden, model.carried_state())

    def _no_hidden(self, length: int) -> Array:
        return zeros((length, 0), self.model.params[0])


def _check(loss: float) -> None:
    """Raise TrainingDiverged unless a loss is finite."""
    if not math.isfinite(loss):
        raise TrainingDiverged(
            f"the weights diverged while adapting to the text (loss {loss}); take a smaller --dynamic-lr"
        )


def learns(model: LanguageModel) -> bool:
    """Tell whether a model can learn from what it reads."""
    return isinstance(model, RecurrentLM | WindowLM)


def _double(model: RecurrentLM | WindowLM) -> Any:
    shape = {**model.hyperparameters, "dropout": 0.0}
    weights = {name: weight + 0 for name, weight in model.weights.items()}
    if isinstance(model, RecurrentLM):
        return RecurrentLM(**shape, ranks=model.ranks, weights=weights, backend=model.backend)
    return type(model)(**shape, weights=weights, backend=model.backend)


def mean_squares(model: LanguageModel, ids: Ids, block: int = 20, blocks: int = BLOCKS) -> list[Array]:
    """Return the mean square of every gradient of a model, over the first blocks of a text of ids (n,).

    The arrays have the shapes of the model's ``params``; the model is not changed. The gradients are those of
    the mean loss of one lane's ``block`` tokens, as `DynamicModel` takes them; ids below 0 are not read.

    Raises:
        ConfigError: the model is neither recurrent nor of a window.
        TextError: the text is shorter than a block.
    """
    learner = Learner(model)
    known = np.asarray(ids[: 2 * block * blocks + 1])
    known = known[known >= 0][: block * blocks + 1].astype(np.intp)
    squares: list[Array] = [zeros(tuple(param.shape), param) for param in learner.model.params]
    state: Any = learner.model.start()
    count = (len(known) - 1) // block
    if count < 1:
        raise TextError(f"the text to take gradients from must have {block + 1} known tokens or more")
    for k in range(0, count * block, block):
        state = learner.read(state, known[k : k + block + 1]).after
        for square, grad, rows in zip(squares, learner.model.grads, learner.model.grad_rows, strict=True):
            if rows is None:
                total, g = square.reshape(-1), grad.reshape(-1)
                for span in spans(g):
                    total[span] += g[span] ** 2
            else:
                square[rows] += grad[rows] ** 2
    for square in squares:
        square /= count
    return squares
