"""The only file that knows which array library is in use: NumPy, or torch tensors.

A layer asks ``namespace(W)`` for the library of its weights and from then on writes
``xp.matmul(a, b, out=c)``: the functions it may use are those that NumPy and torch share
(`matmul`, `tanh`, `exp`, `log`, `add`, `subtract`, `multiply`, `divide`, `amax`, ``.sum(axis=...)``,
in-place operators, slices). What the two do not share is here.
(`elman.matmul_precision` holds the bf16 products that torch tensors may have.)
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from elman.matmul_precision import bf16_torch

Array = Any  # numpy.ndarray or torch.Tensor: the layers treat them alike


def is_torch(array: Array) -> bool:
    """Tell whether ``array`` is a torch tensor, without importing torch."""
    if isinstance(array, np.ndarray):  # the usual case, and asked many times a block
        return False
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


_unattended: ContextVar[bool] = ContextVar("unattended", default=False)


@contextmanager
def unattended() -> Iterator[None]:
    """Within the block the device works by itself, as it does while a CUDA graph is captured or replayed.

    The host reads nothing back, no shape depends on what the arrays hold, and the host's share of the work
    (ids checked, dropout masks drawn) has been done before.
    """
    token = _unattended.set(True)
    try:
        yield
    finally:
        _unattended.reset(token)


def attended() -> bool:
    """Tell whether the host may look at what the arrays hold, which it may not within `unattended`."""
    return not _unattended.get()


def as_number(value: Array) -> Any:
    """Return a single number as a float; where the host may not look, as the array that holds it."""
    return float(value) if attended() else value


def namespace(array: Array) -> Any:
    """Return the module (numpy or torch) whose functions take ``array``."""
    return bf16_torch() or sys.modules["torch"] if is_torch(array) else np


def empty(shape: tuple[int, ...], like: Array) -> Array:
    """Return an uninitialised array of this shape, of the dtype and on the device of ``like``."""
    if is_torch(like):
        return like.new_empty(shape)
    return np.empty(shape, dtype=like.dtype)


def zeros(shape: tuple[int, ...], like: Array) -> Array:
    """Return an array of zeros of this shape, of the dtype and on the device of ``like``."""
    if is_torch(like):
        return like.new_zeros(shape)
    return np.zeros(shape, dtype=like.dtype)


def asarray(values: Any, like: Array) -> Array:
    """Return floating ``values`` as an array of the library, dtype and device of ``like``."""
    if is_torch(like):
        if isinstance(values, np.ndarray) and not values.flags.writeable:
            values = values.copy()  # torch warns of arrays that cannot be written
        return sys.modules["torch"].as_tensor(values, dtype=like.dtype, device=like.device)
    return np.asarray(values, dtype=like.dtype)


def in_double(values: Any, like: Array) -> Array:
    """Return a float64 copy of ``values``, of the library and on the device of ``like``."""
    if is_torch(like):
        torch = sys.modules["torch"]
        return torch.asarray(values, dtype=torch.float64, device=like.device, copy=True)
    return np.array(values, dtype=np.float64)


def as_ids(ids: Any, like: Array) -> Array:
    """Return integer ``ids`` in the form in which ``like`` can be indexed by them."""
    if is_torch(like):
        torch = sys.modules["torch"]
        if isinstance(ids, range):
            return torch.arange(ids.start, ids.stop, ids.step, device=like.device)
        if isinstance(ids, np.ndarray):
            ids = ids.astype(np.int64)  # a copy: torch takes no unsigned ids and warns of read-only ones
        return torch.as_tensor(ids, dtype=torch.int64, device=like.device)
    if isinstance(ids, range):
        return np.arange(ids.start, ids.stop, ids.step, dtype=np.intp)
    return np.asarray(ids, dtype=np.intp)


def same_kind(a: Array, b: Array) -> bool:
    """Tell whether two arrays are of one dtype and, for torch tensors, on one device."""
    return bool(a.dtype == b.dtype) and (not is_torch(a) or a.device == b.device)


def to_numpy(array: Array) -> Array:
    """Return ``array`` as a NumPy array; a torch tensor on the CPU shares its memory."""
    return array.detach().cpu().numpy() if is_torch(array) else np.asarray(array)


def time_major(xs: Array) -> Array:
    """Return xs (N, T, ...) as a contiguous (T, N, ...); what a layer returned costs no copy."""
    swapped = xs.swapaxes(0, 1)
    return swapped.contiguous() if is_torch(xs) else np.ascontiguousarray(swapped)


def batch_major(xs: Array) -> Array:
    """Return xs (T, N, ...) as its (N, T, ...) view."""
    return xs.swapaxes(0, 1)


def as_rows(xs: Array) -> Array:
    """Return contiguous xs (T, N, D) as its (T·N, D) view."""
    return xs.reshape(xs.shape[0] * xs.shape[1], xs.shape[2])


def contiguous(array: Array) -> Array:
    """Return ``array`` in row-major order; a copy only where it is not so already."""
    return array.contiguous() if is_torch(array) else np.ascontiguousarray(array)


def take_rows(W: Array, ids: Array, out: Array) -> None:
    """Write out[k] = W[ids[k]]; ids is one-dimensional, from ``as_ids``."""
    if is_torch(W):
        sys.modules["torch"].index_select(W, 0, ids, out=out)
    else:
        np.take(W, ids, axis=0, out=out, mode="clip")  # the default mode copies `out` first


def sum_rows_by_id(ids: Array, rows: Array) -> tuple[Array, Array]:
    """Return the distinct ids and, for each, the sum of its rows: (U,), (U, D).

    ids (K,) name the rows (K, D). Sorting and `reduceat` are many times faster than ``np.add.at``.
    """
    if is_torch(rows):
        torch = sys.modules["torch"]
        distinct, place = torch.unique(ids, return_inverse=True)
        return distinct, rows.new_zeros((len(distinct), rows.shape[1])).index_add_(0, place, rows)
    order = np.argsort(ids, kind="stable")
    in_order = ids[order]
    first = np.flatnonzero(np.concatenate(([True], in_order[1:] != in_order[:-1])))
    return in_order[first], np.add.reduceat(rows[order], first, axis=0)


def add_rows_by_id(W: Array, ids: Array, rows: Array) -> None:
    """Add each of the rows (K, D) to the row of W that ids (K,) names, without a look at the ids."""
    if is_torch(W):
        W.index_add_(0, ids, rows)
    else:
        np.add.at(W, ids, rows)


class Buffers:
    """Named work arrays that live as long as their layer and are made anew only when a shape changes."""

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}

    def get(self, name: str, shape: tuple[int, ...], like: Array) -> Array:
        """Return the array ``name``: contents undefined, dtype and device those of ``like``."""
        held = self._arrays.get(name)
        if held is None or tuple(held.shape) != shape or not same_kind(held, like):
            held = self._arrays[name] = empty(shape, like)
        return held

    def operand(self, name: str, array: Array) -> Array:
        """Return ``array`` in the form in which products take it now: itself, or a bf16 copy kept as ``name``.

        A matrix (rows, columns) of several products is so cast only once.
        """
        torch = None if isinstance(array, np.ndarray) else bf16_torch()
        if torch is None or array.dtype != torch.float32:
            return array
        if array.stride(0) == 1 != array.stride(1):  # a cast that transposes takes eight times as long
            return self.operand(name, array.T).T
        like = torch.empty(0, dtype=torch.bfloat16, device=array.device)
        return self.get(name, tuple(array.shape), like).copy_(array)
