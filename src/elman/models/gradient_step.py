"""The step of dynamic evaluation: down the gradient of the last block, and back towards the weights as trained."""

import math
from collections.abc import Sequence

from elman.arrays import Array, empty, is_torch, namespace
from elman.errors import ConfigError

PIECE = 1 << 15  # numbers of every array worked on at once: what several passes go over stays in the cache
Rows = Sequence[Array | None]


def spans(array: Array) -> list[slice]:
    """Return the pieces in which to work on a flat array; a tensor is worked on at once."""
    n = len(array)
    size = n if is_torch(array) else PIECE
    return [slice(k, min(k + size, n)) for k in range(0, n, max(1, size))]


class GradientStep:
    """w ← w - η·g·s / (√m + ε) + min(1, λ·√m / mean √m) · (w₀ - w), for weights w that were trained to be w₀.

    m are the mean squares of the gradients, each weight's own, and mean √m is over all weights. Without ``squares``
    the step is that of plain gradient descent, w ← w - η·g·s + λ·(w₀ - w). s scales gradients g whose global
    norm is above ``clip_norm`` down to it.

    Source: B. Krause, E. Kahembwe, I. Murray and S. Renals, Dynamic evaluation of neural sequence models, ICML 2018.

    Raises:
        ConfigError: lr η is not positive and finite, the decay λ not in [0, 1), ε not positive, or clip_norm not.
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
        _check(lr, decay, clip_norm, epsilon)
        self.originals, self.lr, self.decay, self.clip_norm = list(originals), lr, decay, clip_norm
        self._rates: list[Array] | None = None
        self._pulls: list[Array] | None = None
        if squares is not None:
            roots = [square**0.5 for square in squares]
            mean = sum(float(root.sum()) for root in roots) / sum(math.prod(root.shape) for root in roots)
            self._rates = [lr / (root + epsilon) for root in roots]
            self._pulls = [(root * (decay / mean if mean else 0.0)).clip(max=1) for root in roots]

    def apply(self, params: Sequence[Array], grads: Sequence[Array], rows: Rows) -> None:
        """Change params in place by their gradients; those with ``rows`` have no other rows than these."""
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
        """Take the step of all of parameter k."""
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
    """Return √Σg² over all gradients; only the named rows are read where rows are named."""
    flat = ((g if r is None else g[r]).reshape(-1) for g, r in zip(grads, rows, strict=True))
    return math.sqrt(sum(float(namespace(g).dot(g, g)) for g in flat))


def _check(lr: float, decay: float, clip_norm: float | None, epsilon: float) -> None:
    if not 0 < lr < math.inf:
        raise ConfigError(f"the learning rate of dynamic evaluation must be above 0 and finite, got {lr}")
    if not 0 <= decay < 1:
        raise ConfigError(f"the decay of dynamic evaluation must lie in [0, 1), got {decay}; try 0.01")
    if clip_norm is not None and not clip_norm > 0:
        raise ConfigError(f"the clipping norm of dynamic evaluation must be above 0, got {clip_norm}")
    if not epsilon > 0:
        raise ConfigError(f"epsilon of dynamic evaluation must be above 0, got {epsilon}")
