"""Optimizers: update parameters in place from their gradients.

``update(params, grads, rows=None)``: rows[k], where given, names the only rows of grads[k] that may
differ from zero. SGD and AdaGrad skip the other rows, with the same result: a zero gradient changes
nothing there. Momentum, RMSProp and Adam move or decay on a zero gradient too, so they take every row;
skipping rows would be another algorithm.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from elman.arrays import Array, Buffers, namespace, zeros

Rows = Sequence[Array | None] | None


class Optimizer(ABC):
    """What the optimizers share: the learning rate, a state array per parameter, and scratch space.

    ``slots`` names the arrays kept for every parameter; ``step`` counts the updates.
    """

    slots: tuple[str, ...] = ()
    sparse = False

    def __init__(self, lr: float) -> None:
        self.lr = lr
        self.step = 0
        self.state: dict[str, list[Array]] = {}
        self._buffers = Buffers()
        self._largest = 0

    def update(self, params: Sequence[Array], grads: Sequence[Array], rows: Rows = None) -> None:
        """Change every parameter in place by one step along its gradient."""
        if not self.state and self.slots:
            self.state = {slot: [zeros(tuple(p.shape), p) for p in params] for slot in self.slots}
        self.step += 1
        for k, (p, g) in enumerate(zip(params, grads, strict=True)):
            held = [self.state[slot][k] for slot in self.slots]
            only = rows[k] if rows is not None and self.sparse else None
            if only is None:
                self._update(p, g, *held)
                continue
            part, *held_part = (array[only] for array in (p, *held))
            self._update(part, g[only], *held_part)
            for array, changed in zip((p, *held), (part, *held_part), strict=True):
                array[only] = changed

    @abstractmethod
    def _update(self, p: Array, g: Array, *held: Array) -> None:
        """Change p, and the held arrays of its slots, by one step along g."""

    def _scratch(self, like: Array) -> Array:
        """Return work space of the shape of ``like``, a part of one array that grows to the largest asked for."""
        shape = tuple(like.shape)
        size = math.prod(shape)
        self._largest = max(self._largest, size)
        return self._buffers.get("scratch", (self._largest,), like)[:size].reshape(shape)


class SGD(Optimizer):
    """p ← p - lr·g."""

    sparse = True

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__(lr)

    def _update(self, p: Array, g: Array, *held: Array) -> None:
        change = self._scratch(p)
        namespace(p).multiply(g, self.lr, out=change)
        p -= change


class Momentum(Optimizer):
    """v ← momentum·v - lr·g; p ← p + v (B. Polyak, 1964)."""

    slots = ("v",)

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(lr)
        self.momentum = momentum

    def _update(self, p: Array, g: Array, *held: Array) -> None:
        (v,) = held
        change = self._scratch(p)
        namespace(p).multiply(g, self.lr, out=change)
        v *= self.momentum
        v -= change
        p += v


class AdaGrad(Optimizer):
    """s ← s + g²; p ← p - lr·g / √(s + eps) (J. Duchi et al., JMLR 12, 2011); eps inside the root."""

    slots = ("s",)
    sparse = True

    def __init__(self, lr: float = 0.01, eps: float = 1e-8) -> None:
        super().__init__(lr)
        self.eps = eps

    def _update(self, p: Array, g: Array, *held: Array) -> None:
        (s,) = held
        xp, change = namespace(p), self._scratch(p)
        xp.multiply(g, g, out=change)
        s += change
        _descend(p, g, s, self.lr, self.eps, change)


class RMSProp(Optimizer):
    """s ← decay·s + (1 - decay)·g²; p ← p - lr·g / √(s + eps) (T. Tieleman and G. Hinton, 2012)."""

    slots = ("s",)

    def __init__(self, lr: float = 0.001, decay: float = 0.99, eps: float = 1e-8) -> None:
        super().__init__(lr)
        self.decay, self.eps = decay, eps

    def _update(self, p: Array, g: Array, *held: Array) -> None:
        (s,) = held
        change = self._scratch(p)
        _average_square(s, g, self.decay, change)
        _descend(p, g, s, self.lr, self.eps, change)


class Adam(Optimizer):
    """Adam (D. Kingma and J. Ba, ICLR 2015), with the bias corrections folded into the step size.

    m ← beta1·m + (1 - beta1)·g; s ← beta2·s + (1 - beta2)·g²; p ← p - lr'·m / (√s + eps).
    """

    slots = ("m", "s")

    def __init__(
        self, lr: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__(lr)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def _update(self, p: Array, g: Array, *held: Array) -> None:
        m, s = held
        xp, change = namespace(p), self._scratch(p)
        lr = self.lr * (1 - self.beta2**self.step) ** 0.5 / (1 - self.beta1**self.step)
        xp.multiply(g, 1 - self.beta1, out=change)
        m *= self.beta1
        m += change
        _average_square(s, g, self.beta2, change)
        xp.sqrt(s, out=change)
        change += self.eps
        xp.divide(m, change, out=change)
        change *= lr
        p -= change


def _average_square(s: Array, g: Array, decay: float, scratch: Array) -> None:
    """s ← decay·s + (1 - decay)·g²."""
    xp = namespace(s)
    xp.multiply(g, g, out=scratch)
    scratch *= 1 - decay
    s *= decay
    s += scratch


def _descend(p: Array, g: Array, s: Array, lr: float, eps: float, scratch: Array) -> None:
    """p ← p - lr·g / √(s + eps)."""
    xp = namespace(p)
    xp.add(s, eps, out=scratch)
    xp.sqrt(scratch, out=scratch)
    xp.divide(g, scratch, out=scratch)
    scratch *= lr
    p -= scratch


OPTIMIZERS: dict[str, Any] = {
    "sgd": SGD,
    "momentum": Momentum,
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "adam": Adam,
}
