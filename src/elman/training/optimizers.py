"""Optimizers: change parameters in place along their gradients.

``update(params, grads, rows=None)``: rows[k], if given, lists the only rows of grads[k] that may differ from zero. SGD
and AdaGrad skip the other rows, with the same result: there a zero gradient changes nothing. Momentum, RMSProp and Adam
move or decay on a zero gradient too, so they always take every row; skipping rows would be another algorithm.

Clipping is part of the update, so that the gradients are read only once: ``scale`` multiplies them (see `norm_scale`),
and then ``limit`` keeps every entry within ±limit. The gradients themselves are not changed.

Weight decay is separate from the gradient: besides its step, every matrix loses the fraction lr·weight_decay of itself,
p ← p - lr·weight_decay·p (I. Loshchilov and F. Hutter, ICLR 2019); for SGD that is L2 regularisation. Vectors (the
biases) do not decay. A matrix with ``rows`` decays in all its rows.

Every optimizer is written twice, with the same equations: `_update` as operations on whole arrays, for NumPy and torch,
and `_update_compiled` as a call of its function in `elman.training.update_kernels`, for float32 NumPy arrays.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from elman.arrays import Array, Buffers, is_torch, namespace, zeros
from elman.errors import ConfigError
from elman.numba_jit import can_jit
from elman.one_line import one_line, settings
from elman.training import update_kernels
from elman.workers import run_parallel, split_evenly

Rows = Sequence[Array | None] | None
PIECE = 1 << 16  # numbers at a time, few enough that they stay in the cache from one operation to the next
MIN_PART = 1 << 18  # numbers, fewer than which are not worth another thread


class Optimizer(ABC):
    """The common part of the optimizers: the learning rate, the state arrays of each parameter, and scratch space.

    ``slots`` are the names of the arrays kept for every parameter; ``step`` counts the updates.

    Raises:
        ConfigError: the weight decay is below 0, or so large that an update would change the weights' signs.
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
        self._numbers_from: tuple[Any, ...] | None = None
        self._numbers: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return one_line(self, settings(self, always="lr"), f"step {self.step}")

    def update(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        rows: Rows = None,
        *,
        scale: float = 1.0,
        limit: float | None = None,
    ) -> None:
        """Change every parameter in place by one step along its gradient, which is first scaled and limited."""
        self.apply(params, grads, self.next_rate(), rows, scale=scale, limit=limit, shrinkage=self.shrinkage)

    def next_rate(self) -> float:
        """Count one more update, and return the factor on its gradients."""
        self.step += 1
        return self.lr

    @property
    def shrinkage(self) -> float:
        """The fraction of itself that every matrix loses in an update."""
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
        """Do what `update` does, with a given factor (that of `next_rate`): a number, or an array that holds it.

        ``shrinkage`` may be an array too; it is used only if there is weight decay.
        """
        self._make_slots(params)
        for k, (p, g) in enumerate(zip(params, grads, strict=True)):
            slots = [self.state[slot][k] for slot in self.slots]
            only = rows[k] if rows is not None and self.sparse else None
            lost = shrinkage if self.weight_decay and p.ndim > 1 else None
            if only is None:
                self._change((p, g, *slots), rate, scale, limit, lost)
                continue
            if lost is not None:
                self._shrink(p, lost)
            p_rows, *slot_rows = (array[only] for array in (p, *slots))  # copies
            self._change((p_rows, g[only], *slot_rows), rate, scale, limit)
            for array, changed in zip((p, *slots), (p_rows, *slot_rows), strict=True):
                array[only] = changed

    def begin_compiled(
        self, params: Sequence[Array], scale: float, limit: float | None
    ) -> tuple[list[list[Array]], tuple[Any, ...]]:
        """Count one more update; return the arrays of each slot, and the numbers that compiled functions take."""
        self._make_slots(params)
        return [self.state[slot] for slot in self.slots], self._as_float32(self.next_rate(), scale, limit)

    def _make_slots(self, params: Sequence[Array]) -> None:
        if not self.state and self.slots:
            # arrays of the parameters' shapes
            self.state = {slot: [zeros(tuple(p.shape), p) for p in params] for slot in self.slots}

    def _change(
        self,
        arrays: tuple[Array, ...],
        rate: float | Array,
        scale: float,
        limit: float | None,
        lost: float | Array | None = None,
    ) -> None:
        """Make one step: ``arrays`` are p, g and the slots. Before it p loses the fraction ``lost``, if given."""
        if is_torch(arrays[0]) or not all(array.flags.c_contiguous for array in arrays):
            self._change_by_arrays(arrays, rate, scale, limit, lost)
            return
        flat = [array.reshape(-1) for array in arrays]  # (n,) each
        if can_jit(flat[0]) and self._is_compiled:
            self._change_compiled(flat, self._as_float32(rate, scale, limit), lost)
            return
        for k in range(0, len(flat[0]), PIECE):
            self._change_by_arrays([array[k : k + PIECE] for array in flat], rate, scale, limit, lost)

    @property
    def _is_compiled(self) -> bool:
        """Whether this very class has a compiled form; a subclass does not inherit it, as it may change `_update`."""
        return "_update_compiled" in type(self).__dict__

    def _change_compiled(
        self, flat: list[Array], numbers: tuple[Any, ...], lost: float | Array | None = None
    ) -> None:
        """Make one step with the compiled function, in several threads if the arrays (n,) are large."""
        change = self._update_compiled if lost is None else partial(self._shrink_and_update, np.float32(lost))
        parts = split_evenly(len(flat[0]), MIN_PART)
        if len(parts) == 1:
            change(flat, numbers)
        else:
            run_parallel(*(partial(change, [a[part] for a in flat], numbers) for part in parts))

    def _shrink_and_update(self, lost: np.float32, arrays: Sequence[Array], numbers: tuple[Any, ...]) -> None:
        """Shrink and update one piece after another: both in one visit to the cache."""
        for k in range(0, len(arrays[0]), PIECE):
            piece = [array[k : k + PIECE] for array in arrays]
            update_kernels.shrink(piece[0], lost)
            self._update_compiled(piece, numbers)

    def _as_float32(self, rate: float | Array, scale: float, limit: float | None) -> tuple[Any, ...]:
        """Return the numbers that the compiled function takes, made once an update and not once a parameter."""
        given = (scale, np.inf if limit is None else limit, float(rate), *self._constants)
        if given != self._numbers_from:
            self._numbers_from = given
            self._numbers = tuple(np.float32(x) for x in given)
        return self._numbers

    def _change_by_arrays(
        self,
        arrays: Sequence[Array],
        rate: float | Array,
        scale: float,
        limit: float | None,
        lost: float | Array | None = None,
    ) -> None:
        """Make one step with operations on whole arrays."""
        p, g, *slots = arrays
        if lost is not None:
            self._shrink(p, lost)
        if scale != 1 or limit is not None:
            clipped = self._scratch(g, "clipped")
            namespace(g).multiply(g, scale, out=clipped)
            g = clipped
        if limit is not None:
            namespace(g).clip(g, -limit, limit, out=g)
        self._update(p, g, rate, *slots)

    def _shrink(self, p: Array, lost: float | Array) -> None:
        """p ← p - lost·p."""
        if can_jit(p) and p.flags.c_contiguous:
            update_kernels.shrink(p.reshape(-1), np.float32(lost))
            return
        change = self._scratch(p)
        namespace(p).multiply(p, lost, out=change)
        p -= change

    @property
    def _constants(self) -> tuple[float, ...]:
        """What the compiled function takes besides the arrays, the clipping and the rate."""
        return ()

    @abstractmethod
    def _update(self, p: Array, g: Array, rate: float | Array, *slots: Array) -> None:
        """Change p, and its slots, by one step along g."""

    def _update_compiled(self, arrays: Sequence[Array], numbers: tuple[Any, ...]) -> None:
        """Do the same with a compiled function, for flat float32 arrays p, g and the slots; see `_as_float32`."""
        raise NotImplementedError

    def _scratch(self, like: Array, name: str = "scratch") -> Array:
        """Return work space of the shape of ``like``: a part of one array as large as the largest one needed."""
        shape = tuple(like.shape)
        size = math.prod(shape)
        self._largest = max(self._largest, size)
        return self._buffers.get(name, (self._largest,), like)[:size].reshape(shape)


class SGD(Optimizer):
    """Stochastic gradient descent: p ← p - lr·g."""

    sparse = True

    def __init__(self, lr: float = 0.01, *, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)

    def _update(self, p: Array, g: Array, rate: float | Array, *slots: Array) -> None:
        change = self._scratch(p)
        namespace(p).multiply(g, rate, out=change)
        p -= change

    def _update_compiled(self, arrays: Sequence[Array], numbers: tuple[Any, ...]) -> None:
        update_kernels.sgd(*arrays, *numbers)


class Momentum(Optimizer):
    """SGD with momentum: v ← momentum·v - lr·g; p ← p + v.

    Source: B. Polyak, 1964.
    """

    slots = ("v",)

    def __init__(self, lr: float = 0.01, momentum: float = 0.9, *, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.momentum = momentum

    @property
    def _constants(self) -> tuple[float, ...]:
        return (self.momentum,)

    def _update(self, p: Array, g: Array, rate: float | Array, *slots: Array) -> None:
        (v,) = slots
        change = self._scratch(p)
        namespace(p).multiply(g, rate, out=change)
        v *= self.momentum
        v -= change
        p += v

    def _update_compiled(self, arrays: Sequence[Array], numbers: tuple[Any, ...]) -> None:
        update_kernels.momentum(*arrays, *numbers)


class AdaGrad(Optimizer):
    """AdaGrad: s ← s + g²; p ← p - lr·g / √(s + eps), with eps inside the root.

    Source: J. Duchi et al., JMLR 12, 2011.
    """

    slots = ("s",)
    sparse = True

    def __init__(self, lr: float = 0.01, eps: float = 1e-8, *, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.eps = eps

    @property
    def _constants(self) -> tuple[float, ...]:
        return (self.eps,)

    def _update(self, p: Array, g: Array, rate: float | Array, *slots: Array) -> None:
        (s,) = slots
        xp, change = namespace(p), self._scratch(p)
        xp.multiply(g, g, out=change)
        s += change
        _descend(p, g, s, rate, self.eps, change)

    def _update_compiled(self, arrays: Sequence[Array], numbers: tuple[Any, ...]) -> None:
        update_kernels.adagrad(*arrays, *numbers)


class RMSProp(Optimizer):
    """RMSProp: s ← decay·s + (1 - decay)·g²; p ← p - lr·g / √(s + eps).

    Source: T. Tieleman and G. Hinton, 2012.
    """

    slots = ("s",)

    def __init__(
        self, lr: float = 0.001, decay: float = 0.99, eps: float = 1e-8, *, weight_decay: float = 0.0
    ) -> None:
        super().__init__(lr, weight_decay)
        self.decay, self.eps = decay, eps

    @property
    def _constants(self) -> tuple[float, ...]:
        return (self.decay, 1 - self.decay, self.eps)

    def _update(self, p: Array, g: Array, rate: float | Array, *slots: Array) -> None:
        (s,) = slots
        change = self._scratch(p)
        _average_square(s, g, self.decay, change)
        _descend(p, g, s, rate, self.eps, change)

    def _update_compiled(self, arrays: Sequence[Array], numbers: tuple[Any, ...]) -> None:
        update_kernels.rmsprop(*arrays, *numbers)


class Adam(Optimizer):
    """Adam, with the bias corrections folded into the step size.

    m ← beta1·m + (1 - beta1)·g; s ← beta2·s + (1 - beta2)·g²; p ← p - lr'·m / (√s + eps).
    Source: D. Kingma and J. Ba, ICLR 2015.
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

    def _update(self, p: Array, g: Array, rate: float | Array, *slots: Array) -> None:
        m, s = slots
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

    def _update_compiled(self, arrays: Sequence[Array], numbers: tuple[Any, ...]) -> None:
        update_kernels.adam(*arrays, *numbers)


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
