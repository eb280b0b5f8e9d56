"""Optimizers: update parameters in place from their gradients.

``update(params, grads, rows=None)``: rows[k], where given, names the only rows of grads[k] that may
differ from zero. SGD and AdaGrad skip the other rows, with the same result: a zero gradient changes
nothing there. Momentum, RMSProp and Adam move or decay on a zero gradient too, so they take every row;
skipping rows would be another algorithm.

Clipping is part of the update, so that the gradients are gone over once: ``scale`` multiplies them (see
`norm_scale`), and then ``limit`` keeps every entry within ±limit. The gradients themselves stay as they are.

Weight decay is decoupled from the gradient: besides its step, every matrix loses the share lr·weight_decay of
itself, p ← p - lr·weight_decay·p (I. Loshchilov and F. Hutter, ICLR 2019); for SGD that is L2 regularisation.
Vectors, the biases, are left alone. A matrix whose rows are named loses its share in all of them.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from elman.arrays import Array, Buffers, is_torch, namespace, zeros
from elman.errors import ConfigError
from elman.numba_jit import serves
from elman.workers import run_parallel, split_evenly

Rows = Sequence[Array | None] | None
PIECE = 1 << 16  # numbers at a time, few enough that what the passes share stays in the cache
MIN_PART = 1 << 18  # numbers, fewer than which are not worth another thread


class Optimizer(ABC):
    """What the optimizers share: the learning rate, a state array per parameter, and scratch space.

    ``slots`` names the arrays kept for every parameter; ``step`` counts the updates.

    Raises:
        ConfigError: the weight decay is below 0, or so large that an update would turn the weights' signs.
    """

    slots: tuple[str, ...] = ()
    sparse = False

    def __init__(self, lr: float, weight_decay: float = 0.0) -> None:
        if not 0 <= lr * weight_decay < 1:
            raise ConfigError(
                f"the learning rate times the weight decay must be in [0, 1), got {lr:g} · {weight_decay:g}"
            )
        self.lr = lr
        self.weight_decay = weight_decay
        self.step = 0
        self.state: dict[str, list[Array]] = {}
        self._buffers = Buffers()
        self._largest = 0
        self._given: tuple[Any, ...] | None = None
        self._made: tuple[Any, ...] = ()

    def update(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        rows: Rows = None,
        *,
        scale: float = 1.0,
        limit: float | None = None,
    ) -> None:
        """Change every parameter in place by one step along its gradient, scaled and limited."""
        self.apply(params, grads, self.next_rate(), rows, scale=scale, limit=limit, shrinkage=self.shrinkage)

    def next_rate(self) -> float:
        """Count one more update, and return the factor on its gradients."""
        self.step += 1
        return self.lr

    @property
    def shrinkage(self) -> float:
        """The share of themselves that an update takes from the matrices."""
        return self.lr * self.weight_decay

    def apply(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        rate: float | Array,
        rows: Rows = None,
        *,
        scale: float = 1.0,
        limit: float | None = None,
        shrinkage: float | Array = 0.0,
    ) -> None:
        """Do what `update` does, with the factor of `next_rate`: a number, or an array that holds it.

        So is ``shrinkage``, which is looked at only where the weights decay.
        """
        if not self.state and self.slots:
            self.state = {slot: [zeros(tuple(p.shape), p) for p in params] for slot in self.slots}
        for k, (p, g) in enumerate(zip(params, grads, strict=True)):
            held = [self.state[slot][k] for slot in self.slots]
            only = rows[k] if rows is not None and self.sparse else None
            share = shrinkage if self.weight_decay and p.ndim > 1 else None
            if only is None:
                self._change((p, g, *held), rate, scale, limit, share)
                continue
            if share is not None:
                self._shrink(p, share)
            part, *held_part = (array[only] for array in (p, *held))
            self._change((part, g[only], *held_part), rate, scale, limit)
            for array, changed in zip((p, *held), (part, *held_part), strict=True):
                array[only] = changed

    def _change(
        self,
        arrays: tuple[Array, ...],
        rate: float | Array,
        scale: float,
        limit: float | None,
        share: float | Array | None = None,
    ) -> None:
        """Make one step of p along g; arrays are p, g and those of the slots. First p loses its share, if any."""
        if is_torch(arrays[0]) or not all(array.flags.c_contiguous for array in arrays):
            self._in_passes(arrays, rate, scale, limit, share)
            return
        flat = [array.reshape(-1) for array in arrays]
        if serves(arrays[0]) and self._loop:
            self._in_one_pass(flat, self._numbers(rate, scale, limit), share)
            return
        for k in range(0, len(flat[0]), PIECE):
            self._in_passes([array[k : k + PIECE] for array in flat], rate, scale, limit, share)

    def _in_one_pass(
        self, flat: list[Array], numbers: tuple[Any, ...], share: float | Array | None = None
    ) -> None:
        loop = self._loop if share is None else partial(self._shrinking, np.float32(share))
        parts = split_evenly(len(flat[0]), MIN_PART)
        if len(parts) == 1:
            loop(*flat, *numbers)
        else:
            run_parallel(*(partial(loop, *(a[part] for a in flat), *numbers) for part in parts))

    def _shrinking(self, share: np.float32, *given: Any) -> None:
        """Run the compiled loop, piece by piece, each shrunk while it is in the cache anyway."""
        from elman.training.update_kernels import shrink

        arrays, numbers = given[: 2 + len(self.slots)], given[2 + len(self.slots) :]
        for k in range(0, len(arrays[0]), PIECE):
            piece = [array[k : k + PIECE] for array in arrays]
            shrink(piece[0], share)
            self._loop(*piece, *numbers)

    @cached_property
    def _loop(self) -> Any:
        """The compiled loop of this optimizer; None for one that is written elsewhere."""
        if type(self) not in OPTIMIZERS.values():
            return None
        from elman.training import update_kernels as fused_updates

        return getattr(fused_updates, type(self).__name__.lower())

    def _numbers(self, rate: float | Array, scale: float, limit: float | None) -> tuple[Any, ...]:
        """Return what the compiled loop takes besides arrays, made once an update and not once a parameter."""
        given = (scale, np.inf if limit is None else limit, float(rate), *self._constants)
        if given != self._given:
            self._given = given
            self._made = tuple(np.float32(x) for x in given)
        return self._made

    def _in_passes(
        self,
        arrays: Sequence[Array],
        rate: float | Array,
        scale: float,
        limit: float | None,
        share: float | Array | None = None,
    ) -> None:
        p, g, *held = arrays
        if share is not None:
            self._shrink(p, share)
        if scale != 1 or limit is not None:
            clipped = self._scratch(g, "clipped")
            namespace(g).multiply(g, scale, out=clipped)
            g = clipped
        if limit is not None:
            namespace(g).clip(g, -limit, limit, out=g)
        self._update(p, g, rate, *held)

    def _shrink(self, p: Array, share: float | Array) -> None:
        """p ← p - share·p."""
        if serves(p) and p.flags.c_contiguous:
            from elman.training.update_kernels import shrink

            shrink(p.reshape(-1), np.float32(share))
            return
        lost = self._scratch(p)
        namespace(p).multiply(p, share, out=lost)
        p -= lost

    @property
    def _constants(self) -> tuple[float, ...]:
        """What the compiled loop needs besides the arrays, the clipping and the rate."""
        return ()

    @abstractmethod
    def _update(self, p: Array, g: Array, rate: float | Array, *held: Array) -> None:
        """Change p, and the held arrays of its slots, by one step along g."""

    def _scratch(self, like: Array, name: str = "scratch") -> Array:
        """Return work space of the shape of ``like``, a part of one array that grows to the largest asked for."""
        shape = tuple(like.shape)
        size = math.prod(shape)
        self._largest = max(self._largest, size)
        return self._buffers.get(name, (self._largest,), like)[:size].reshape(shape)


class SGD(Optimizer):
    """p ← p - lr·g."""

    sparse = True

    def __init__(self, lr: float = 0.01, *, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)

    def _update(self, p: Array, g: Array, rate: float | Array, *held: Array) -> None:
        change = self._scratch(p)
        namespace(p).multiply(g, rate, out=change)
        p -= change


class Momentum(Optimizer):
    """v ← momentum·v - lr·g; p ← p + v (B. Polyak, 1964)."""

    slots = ("v",)

    def __init__(self, lr: float = 0.01, momentum: float = 0.9, *, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.momentum = momentum

    @property
    def _constants(self) -> tuple[float, ...]:
        return (self.momentum,)

    def _update(self, p: Array, g: Array, rate: float | Array, *held: Array) -> None:
        (v,) = held
        change = self._scratch(p)
        namespace(p).multiply(g, rate, out=change)
        v *= self.momentum
        v -= change
        p += v


class AdaGrad(Optimizer):
    """s ← s + g²; p ← p - lr·g / √(s + eps) (J. Duchi et al., JMLR 12, 2011); eps inside the root."""

    slots = ("s",)
    sparse = True

    def __init__(self, lr: float = 0.01, eps: float = 1e-8, *, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.eps = eps

    @property
    def _constants(self) -> tuple[float, ...]:
        return (self.eps,)

    def _update(self, p: Array, g: Array, rate: float | Array, *held: Array) -> None:
        (s,) = held
        xp, change = namespace(p), self._scratch(p)
        xp.multiply(g, g, out=change)
        s += change
        _descend(p, g, s, rate, self.eps, change)


class RMSProp(Optimizer):
    """s ← decay·s + (1 - decay)·g²; p ← p - lr·g / √(s + eps) (T. Tieleman and G. Hinton, 2012)."""

    slots = ("s",)

    def __init__(
        self, lr: float = 0.001, decay: float = 0.99, eps: float = 1e-8, *, weight_decay: float = 0.0
    ) -> None:
        super().__init__(lr, weight_decay)
        self.decay, self.eps = decay, eps

    @property
    def _constants(self) -> tuple[float, ...]:
        return (self.decay, 1 - self.decay, self.eps)

    def _update(self, p: Array, g: Array, rate: float | Array, *held: Array) -> None:
        (s,) = held
        change = self._scratch(p)
        _average_square(s, g, self.decay, change)
        _descend(p, g, s, rate, self.eps, change)


class Adam(Optimizer):
    """Adam (D. Kingma and J. Ba, ICLR 2015), with the bias corrections folded into the step size.

    m ← beta1·m + (1 - beta1)·g; s ← beta2·s + (1 - beta2)·g²; p ← p - lr'·m / (√s + eps).
    """

    slots = ("m", "s")

    def __init__(
        self,
        lr: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        *,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def next_rate(self) -> float:
        """Count one more update, and return the factor on its gradients, bias corrections included."""
        lr = super().next_rate()
        return float(lr * (1 - self.beta2**self.step) ** 0.5 / (1 - self.beta1**self.step))

    @property
    def _constants(self) -> tuple[float, ...]:
        return (self.beta1, 1 - self.beta1, self.beta2, 1 - self.beta2, self.eps)

    def _update(self, p: Array, g: Array, rate: float | Array, *held: Array) -> None:
        m, s = held
        xp, change = namespace(p), self._scratch(p)
        xp.multiply(g, 1 - self.beta1, out=change)
        m *= self.beta1
        m += change
        _average_square(s, g, self.beta2, change)
        xp.sqrt(s, out=change)
        change += self.eps
        xp.divide(m, change, out=change)
        change *= rate
        p -= change


def _average_square(s: Array, g: Array, decay: float, scratch: Array) -> None:
    """s ← decay·s + (1 - decay)·g²."""
    xp = namespace(s)
    xp.multiply(g, g, out=scratch)
    scratch *= 1 - decay
    s *= decay
    s += scratch


def _descend(p: Array, g: Array, s: Array, rate: float | Array, eps: float, scratch: Array) -> None:
    """p ← p - rate·g / √(s + eps)."""
    xp = namespace(p)
    xp.add(s, eps, out=scratch)
    xp.sqrt(scratch, out=scratch)
    xp.divide(g, scratch, out=scratch)
    scratch *= rate
    p -= scratch


OPTIMIZERS: dict[str, Any] = {
    "sgd": SGD,
    "momentum": Momentum,
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "adam": Adam,
}
