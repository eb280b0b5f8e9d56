"""A training step whose block is one compiled call, for small Elman networks on float32 NumPy arrays.

Every product of such a network takes a few microseconds, and so does every call from Python, of which the layers need
about a hundred a block. `elman.training.step_kernels` has the same equations in one function.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array
from elman.layers.affine import TimeAffine
from elman.layers.embedding import TimeEmbedding
from elman.layers.kernels.products import can_compile_products
from elman.layers.output import TimeAffineSoftmaxWithLoss, rows_per_chunk
from elman.layers.rnn import TimeRNN
from elman.layers.softmax import TimeSoftmaxWithLoss
from elman.models.recurrent import RecurrentLM, SimpleRnnlm
from elman.numba_jit import can_jit
from elman.training import step_kernels
from elman.training.optimizers import SGD, AdaGrad
from elman.training.step import TrainingStep, norm_scale

MOST_MULTIPLICATIONS = 20_000_000  # of the largest product; in longer blocks the calls hardly count
UPDATES = {SGD: "sgd_all", AdaGrad: "adagrad_all"}  # the names of functions of `step_kernels`
STACKS: tuple[list[type], ...] = (
    [TimeEmbedding, TimeRNN, TimeAffineSoftmaxWithLoss],
    [TimeEmbedding, TimeRNN, TimeAffine, TimeSoftmaxWithLoss],
)


class CompiledStep(TrainingStep):
    """`TrainingStep` in two compiled calls, equal up to rounding, for a model that `can_compile_step` accepts.

    It leaves long blocks to the layers.
    """

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        model = self.model
        self._arrays = _with_Wx(model.params), _with_Wx(model.grads)
        self._flat = tuple(
            tuple(map(_flat, arrays[1:])) for arrays in (model.params, model.grads)
        )  # (n,) each
        V = model.vocab_size
        self._rows, self._seen = np.empty(V, np.intp), np.zeros(V, np.bool_)  # (V,) each
        self._shape: tuple[int, ...] | None = None
        self._found: tuple[float, float] | None = None  # loss and norm of a block that was compiled

    def add(self, xs: NDArray[Any], ts: NDArray[Any]) -> None:
        """Compute the gradient of the block xs -> ts (N, T)."""
        self._found = self._differentiate_compiled(xs, ts) if self._fits(xs, ts) else None
        if self._found is None:
            super().add(xs, ts)

    def finish(self) -> tuple[float, float]:
        """Update the parameters; return the mean loss in nats and the gradient's norm before clipping."""
        if self._found is None:
            return super().finish()
        loss, norm = self._found
        self.check(loss, norm)
        model, optimizer, scale = self.model, self.optimizer, norm_scale(norm, self.max_grad)
        update = UPDATES.get(type(optimizer))
        if update is None or optimizer.weight_decay:
            optimizer.update(model.params, model.grads, model.grad_rows, scale=scale, limit=self.max_value)
            return loss, norm
        slots, numbers = optimizer.begin_compiled(model.params, scale, self.max_value)
        tables = model.params[0], model.grads[0], *(slot[0] for slot in slots)
        flat_slots = (tuple(map(_flat, slot[1:])) for slot in slots)
        getattr(step_kernels, update)(tables, model.embedding.rows, *self._flat, *flat_slots, *numbers)
        return loss, norm

    def _fits(self, xs: NDArray[Any], ts: NDArray[Any]) -> bool:
        """Return whether the block is for the compiled function; make its work arrays if the shape is new."""
        if xs.shape != self._shape:
            self._shape, self._work = xs.shape, self._work_arrays(*xs.shape) if xs.ndim == 2 else None
        h = self.model.rnn_layer.h
        return (
            self._work is not None
            and ts.shape == xs.shape
            and (h is None or h.shape == (len(xs), self.model.rnn_layer.H))
        )

    def _work_arrays(self, N: int, T: int) -> tuple[Array, ...] | None:
        """Return the work arrays of `step_kernels.rnn_gradients`; None if a block of this shape is not for it."""
        _, Wx, _, _, W, _ = self._arrays[0]
        K, (D, H), V = N * T, Wx.shape, W.shape[1]
        of_chunks = rows_per_chunk(K, V, H) < K  # whose scores are too many to be kept at once
        if not K or of_chunks or K * H * max(V, H, D) > MOST_MULTIPLICATIONS:
            return None
        shapes = ((4, K), (K, D), (K, H), (N + K, H), (K, V), (K, H))
        return (np.empty((2, K), np.intp), *(np.empty(shape, W.dtype) for shape in shapes))

    def _differentiate_compiled(self, xs: NDArray[Any], ts: NDArray[Any]) -> tuple[float, float] | None:
        """Write the gradients; return the loss and their norm, or None if the layers will refuse the ids."""
        model = self.model
        embedding, rnn = model.embedding, model.rnn_layer
        h_after, dh = np.empty((2, len(xs), rnn.H), rnn.b.dtype)  # (N, H) each
        h_before = np.zeros_like(dh) if rnn.h is None else np.ascontiguousarray(rnn.h, rnn.b.dtype)
        rows_before = self._rows[:0] if embedding.rows is None else embedding.rows
        loss, square, distinct = step_kernels.rnn_gradients(
            np.ascontiguousarray(xs, np.intp),
            np.ascontiguousarray(ts, np.intp),
            model.loss_layer.ignore_label,
            float(xs.size) if self.reduction == "sum" else 1.0,
            *self._arrays,
            self._flat[1],
            (rows_before, self._rows, self._seen),
            (h_before, h_after, dh),
            self._work,
        )
        if distinct == step_kernels.REFUSED:
            return None
        embedding.rows = self._rows[:distinct]
        embedding.rows.sort()
        rnn.h, rnn.dh = h_after, dh
        return loss, math.sqrt(square) if square >= 0 else math.nan


def can_compile_step(model: Any) -> bool:
    """Return whether `CompiledStep` can train a model: one Elman layer, nothing dropped, tied or subclassed."""
    if type(model) not in (RecurrentLM, SimpleRnnlm) or vars(model).keys() & {"forward", "backward"}:
        return False
    layers = [*model.layers, model.loss_layer]
    return (
        [type(layer) for layer in layers] in STACKS
        and not model.tie_weights
        and model.embedding.dropout is None
        and model.rnn_layer.dropout is None
        and getattr(model.loss_layer, "train_flg", True)
        and all(can_jit(array) and array.flags.c_contiguous for array in (*model.params, *model.grads))
        and can_compile_products()
    )


def _with_Wx(arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Return parameters or their gradients with one for Wx: (0, H) for a one-hot input."""
    E, *others = arrays
    return (E, *others) if len(others) == 5 else (E, E[:0], *others)


def _flat(array: Array) -> Array:
    """Return an array as (n,)."""
    return array.reshape(-1)
