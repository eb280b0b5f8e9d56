"""Learning during dynamic evaluation: the gradient of a block, the step that follows it, and mean square gradients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.arrays import Array, empty, is_torch, namespace, to_numpy, zeros
from elman.errors import ConfigError, TextError, TrainingDiverged
from elman.models.base import Ids, LanguageModel, LogProbs, Mask
from elman.models.recurrent import RecurrentLM
from elman.models.window import WindowLM
from elman.workers import limited_threads

CHUNK = 1 << 15  # numbers of an array processed at once, so that several passes find them in the cache
Rows = Sequence[Array | None]


def spans(array: Array) -> list[slice]:
    """Return the slices in which to process a flat array; a tensor is processed at once."""
    n = len(array)
    size = n if is_torch(array) else CHUNK
    return [slice(k, min(k + size, n)) for k in range(0, n, max(1, size))]


class GradientStep:
    """w ← w - η·g·s / (√m + ε) + min(1, λ·√m / mean √m) · (w₀ - w), for weights w with the trained values w₀.

    m are the mean squares of each weight's gradients (``squares``); mean √m is over all weights. Without ``squares``
    the step is plain gradient descent, w ← w - η·g·s + λ·(w₀ - w). The factor s scales gradients g down to the
    global norm ``clip_norm`` if theirs is larger.

    Source: B. Krause, E. Kahembwe, I. Murray and S. Renals, Dynamic evaluation of neural sequence models, ICML 2018.

    Raises:
        ConfigError: lr (η) is not positive and finite, decay (λ) not in [0, 1), or epsilon (ε) or clip_norm not > 0.
    """

    def __init__(
        self,
        originals: Sequence[Array],
        lr: float,
        decay: float,
        clip_norm: float | None,
        squares: Sequence[Array] | None,
        epsilon: float,
    ) -> None:
        _check_step(lr, decay, clip_norm, epsilon)
        self.originals, self.lr, self.decay, self.clip_norm = list(originals), lr, decay, clip_norm
        self._rates: list[Array] | None = None
        self._pulls: list[Array] | None = None
        if squares is not None:
            roots = [square**0.5 for square in squares]
            mean = sum(float(root.sum()) for root in roots) / sum(math.prod(root.shape) for root in roots)
            self._rates = [lr / (root + epsilon) for root in roots]
            self._pulls = [(root * (decay / mean if mean else 0.0)).clip(max=1) for root in roots]

    def apply(self, params: Sequence[Array], grads: Sequence[Array], rows: Rows) -> None:
        """Update params in place; where ``rows`` are given, the other rows of the gradient are zero."""
        scale = 1.0
        if self.clip_norm is not None:
            scale = min(1.0, self.clip_norm / (global_norm(grads, rows) + 1e-6))
        for k, (param, grad, only) in enumerate(zip(params, grads, rows, strict=True)):
            if only is not None and not self.decay:
                rate = self.lr if self._rates is None else self._rates[k][only]
                param[only] -= rate * scale * grad[only]
            else:
                self._descend(k, param, grad, scale)

    def _descend(self, k: int, param: Array, grad: Array, scale: float) -> None:
        """Update all of parameter k."""
        w, g, w0 = param.reshape(-1), grad.reshape(-1), self.originals[k].reshape(-1)
        rates = None if self._rates is None else self._rates[k].reshape(-1)
        pulls = None if self._pulls is None else self._pulls[k].reshape(-1)
        subtract, multiply = namespace(w).subtract, namespace(w).multiply
        cut = spans(w)
        steps, backs = (empty((cut[0].stop,), w) for _ in range(2))
        for span in cut:
            step, back = steps[: span.stop - span.start], backs[: span.stop - span.start]
            multiply(g[span], self.lr if rates is None else rates[span], out=step)
            if scale != 1:
                step *= scale
            if self.decay:
                subtract(w0[span], w[span], out=back)
                back *= self.decay if pulls is None else pulls[span]
                step -= back
            w[span] -= step


def global_norm(grads: Sequence[Array], rows: Rows) -> float:
    """Return √Σg² over all gradients; where ``rows`` are given, only those are read."""
    flat = ((g if r is None else g[r]).reshape(-1) for g, r in zip(grads, rows, strict=True))
    return math.sqrt(sum(float(namespace(g).dot(g, g)) for g in flat))


def _check_step(lr: float, decay: float, clip_norm: float | None, epsilon: float) -> None:
    if not 0 < lr < math.inf:
        raise ConfigError(f"the learning rate of dynamic evaluation must be > 0 and finite, got {lr}")
    if not 0 <= decay < 1:
        raise ConfigError(f"the decay of dynamic evaluation must be in [0, 1), got {decay}; try 0.01")
    if clip_norm is not None and not clip_norm > 0:
        raise ConfigError(f"the clipping norm of dynamic evaluation must be > 0, got {clip_norm}")
    if not epsilon > 0:
        raise ConfigError(f"epsilon of dynamic evaluation must be > 0, got {epsilon}")


BLOCKS = 500  # of the text for the mean squares; a fifth of them would do


@dataclass(frozen=True)
class BlockRead:
    """The result of `Learner.read`: ln P of k tokens (k,), the h (k, H) that predict them, the state before the last.

    H is 0 for a window model.
    """

    log_probs: LogProbs
    hidden: Array
    after: Any


class Learner:
    """A copy of a model, without dropout, that computes the gradient of a block.

    Raises:
        ConfigError: the model is neither a recurrent nor a window model.
    """

    def __init__(self, model: LanguageModel) -> None:
        if not isinstance(model, RecurrentLM | WindowLM):
            raise ConfigError(
                "dynamic evaluation needs a model that is trained by gradient descent, which "
                f"{type(model).__name__} is not; use `cache=SIZE`"
            )
        self.model = _copy_of(model)
        self._loaded: tuple[Array, ...] = ()  # the weights that the copy has, as a value; (): others

    def load(self, weights: tuple[Array, ...]) -> None:
        """Copy these weights into the model, unless it has them already."""
        if self._loaded is not weights:
            self._loaded = ()
            for param, weight in zip(self.model.params, weights, strict=True):
                param[...] = weight
            self._loaded = weights

    def weights(self) -> tuple[Array, ...]:
        """Return the present weights as a value: the input of `load`."""
        if not self._loaded:
            copied = tuple(param + 0 for param in self.model.params)
            for weight in copied:
                if not is_torch(weight):
                    weight.flags.writeable = False
            self._loaded = copied
        return self._loaded

    def step(self, step: GradientStep) -> None:
        """Update the weights by the gradients that `read` computed."""
        self._loaded = ()
        step.apply(self.model.params, self.model.grads, self.model.grad_rows)

    def score(self, ids: Ids, state: Any, counted: Mask) -> tuple[LogProbs, Array, Any]:
        """Predict ids (T,) after a one-sequence state; return ln P (T,), the h (T, H) of each, and the next state.

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
        """Predict tokens[1:] of tokens (k + 1,) from the state before tokens[0]; compute the mean loss's gradients.

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
            f"the weights diverged while adapting to the text (loss {loss}); use a smaller `dynamic(lr)`"
        )


def learns(model: LanguageModel) -> bool:
    """Return whether dynamic evaluation can be applied to a model."""
    return isinstance(model, RecurrentLM | WindowLM)


def _copy_of(model: RecurrentLM | WindowLM) -> Any:
    shape = {**model.hyperparameters, "dropout": 0.0}
    weights = {name: weight + 0 for name, weight in model.weights.items()}
    if isinstance(model, RecurrentLM):
        return RecurrentLM(**shape, ranks=model.ranks, weights=weights, backend=model.backend)
    return type(model)(**shape, weights=weights, backend=model.backend)


def mean_squares(model: LanguageModel, ids: Ids, block: int = 20, blocks: int = BLOCKS) -> list[Array]:
    """Return the mean squares of a model's gradients over the first blocks of a text of ids (n,).

    The arrays have the shapes of the model's ``params``; the model is not changed. The gradients are those of the
    mean loss of ``block`` tokens of one sequence, as in `DynamicModel`; ids below 0 are skipped.

    Raises:
        ConfigError: the model is neither a recurrent nor a window model.
        TextError: the text is shorter than a block.
    """
    learner = Learner(model)
    known = np.asarray(ids[: 2 * block * blocks + 1])
    known = known[known >= 0][: block * blocks + 1].astype(np.intp)
    squares: list[Array] = [zeros(tuple(param.shape), param) for param in learner.model.params]
    state: Any = learner.model.start()
    count = (len(known) - 1) // block
    if count < 1:
        raise TextError(f"the text to compute gradients from must have at least {block + 1} known tokens")
    with limited_threads(0):  # a block of one sequence makes no large products
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
