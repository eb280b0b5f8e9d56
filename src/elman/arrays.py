"""Array operations for which NumPy and torch differ, and the work buffers of the layers.

A layer takes the library of its weights, ``xp = namespace(W)``, and then writes ``xp.matmul(a, b, out=c)``. It uses
functions that NumPy and torch share (`matmul`, `tanh`, `exp`, `log`, `add`, `subtract`, `multiply`, `divide`, `amax`,
``.sum(axis=...)``, in-place operators, slices). For all else there is a function here, so that no other file has to
know which library is in use. `elman.matmul_precision` adds bf16 products for torch tensors.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from elman.matmul_precision import bf16_torch

FINITE_CHUNK = 1 << 16  # numbers
Array = Any  # numpy.ndarray or torch.Tensor: the layers treat them alike


def is_torch(array: Array) -> bool:
    """Return whether ``array`` is a torch tensor, without importing torch."""
    if isinstance(array, np.ndarray):  # the usual case, and checked many times a block
        return False
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


_no_host_sync: ContextVar[bool] = ContextVar("no_host_sync", default=False)


@contextmanager
def no_host_sync() -> Iterator[None]:
    """Within the block the host reads no array, as is needed while a CUDA graph is captured.

    No shape depends on the contents of an array. The host's part (checking ids, drawing dropout masks) has been done
    before.
    """
    token = _no_host_sync.set(True)
    try:
        yield
    finally:
        _no_host_sync.reset(token)


def host_sync_allowed() -> bool:
    """Return whether the host may read the contents of arrays: always, except within `no_host_sync`."""
    return not _no_host_sync.get()


def as_number(value: Array) -> Any:
    """Return a single number as a float; within `no_host_sync`, as the array that holds it."""
    return float(value) if host_sync_allowed() else value


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


def one(like: Array) -> Any:
    """Return 1 in the form in which `subtract` takes it on the left: torch wants a tensor there."""
    return like.new_ones(()) if is_torch(like) else 1.0


def asarray(values: Any, like: Array) -> Array:
    """Return floating ``values`` as an array of the library, dtype and device of ``like``."""
    if is_torch(like):
        if isinstance(values, np.ndarray) and not values.flags.writeable:
            values = values.copy()  # torch warns about read-only arrays
        return sys.modules["torch"].as_tensor(values, dtype=like.dtype, device=like.device)
    return np.asarray(values, dtype=like.dtype)


def in_double(values: Any, like: Array) -> Array:
    """Return a float64 copy of ``values``, of the library and on the device of ``like``."""
    if is_torch(like):
        torch = sys.modules["torch"]
        return torch.asarray(values, dtype=torch.float64, device=like.device, copy=True)
    return np.array(values, dtype=np.float64)


def as_ids(ids: Any, like: Array) -> Array:
    """Return integer ``ids`` as an array that can index ``like``."""
    if is_torch(like):
        torch = sys.modules["torch"]
        if isinstance(ids, range):
            return torch.arange(ids.start, ids.stop, ids.step, device=like.device)
        if isinstance(ids, np.ndarray):
            ids = ids.astype(np.int64)  # a copy: torch takes no unsigned ids and warns about read-only ones
        return torch.as_tensor(ids, dtype=torch.int64, device=like.device)
    if isinstance(ids, range):
        return np.arange(ids.start, ids.stop, ids.step, dtype=np.intp)
    return np.asarray(ids, dtype=np.intp)


def same_kind(a: Array, b: Array) -> bool:
    """Return whether two arrays have the same dtype and, for torch tensors, the same device."""
    return bool(a.dtype == b.dtype) and (not is_torch(a) or a.device == b.device)


def to_numpy(array: Array) -> Array:
    """Return ``array`` as a NumPy array; a torch tensor on the CPU shares its memory."""
    return array.detach().cpu().numpy() if is_torch(array) else np.asarray(array)


def time_major(xs: Array) -> Array:
    """Return xs (N, T, ...) as a contiguous (T, N, ...). This is no copy for an array that a layer returned."""
    swapped = xs.swapaxes(0, 1)
    return swapped.contiguous() if is_torch(xs) else np.ascontiguousarray(swapped)


def batch_major(xs: Array) -> Array:
    """Return xs (T, N, ...) as its (N, T, ...) view."""
    return xs.swapaxes(0, 1)


def as_rows(xs: Array) -> Array:
    """Return contiguous xs (T, N, D) as its (T·N, D) view."""
    return xs.reshape(xs.shape[0] * xs.shape[1], xs.shape[2])


def contiguous(array: Array) -> Array:
    """Return ``array`` in row-major order; a copy only if it is not so already."""
    return array.contiguous() if is_torch(array) else np.ascontiguousarray(array)


def take_rows(W: Array, ids: Array, out: Array) -> None:
    """Write out[k] = W[ids[k]]; ids is one-dimensional, from ``as_ids``."""
    if is_torch(W):
        sys.modules["torch"].index_select(W, 0, ids, out=out)
    else:
        np.take(W, ids, axis=0, out=out, mode="clip")  # the default mode copies `out` first


def sum_rows_by_id(ids: Array, rows: Array) -> tuple[Array, Array]:
    """Return the distinct ids and, for each, the sum of its rows: (U,), (U, D).

    rows[k], of rows (K, D), belongs to ids[k]. Sorting and `reduceat` are many times faster than ``np.add.at``.
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
    """W[ids[k]] += rows[k] for rows (K, D); the host does not read the ids."""
    if is_torch(W):
        W.index_add_(0, ids, rows)
    else:
        np.add.at(W, ids, rows)


class Buffers:
    """Named work arrays of a layer, which are kept from block to block and replaced only when a shape changes."""

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}

    def get(self, name: str, shape: tuple[int, ...], like: Array) -> Array:
        """Return the array ``name`` with undefined contents, and the dtype and device of ``like``."""
        kept = self._arrays.get(name)
        if kept is None or tuple(kept.shape) != shape or not same_kind(kept, like):
            kept = self._arrays[name] = empty(shape, like)
        return kept

    def once(self, name: str, make: Callable[[], Array]) -> Array:
        """Return the array ``name``, which ``make`` makes the first time: for contents that stay."""
        kept = self._arrays.get(name)
        if kept is None:
            kept = self._arrays[name] = make()
        return kept

    def operand(self, name: str, array: Array) -> Array:
        """Return a matrix (rows, columns) as products take it now: itself, or a bf16 copy that is kept as ``name``.

        So a matrix that several products read is cast only once.
        """
        torch = None if isinstance(array, np.ndarray) else bf16_torch()
        if torch is None or array.dtype != torch.float32:
            return array
        if (
            array.stride(0) == 1 != array.stride(1)
        ):  # casting and transposing at once takes eight times as long
            return self.operand(name, array.T).T
        like = torch.empty(0, dtype=torch.bfloat16, device=array.device)  # of no size: only its kind counts
        return self.get(name, tuple(array.shape), like).copy_(array)


def not_finite(array: Array) -> tuple[int, tuple[int, ...]]:
    """Return how many numbers of a NumPy array are NaN or infinite, and the index of the first; (0, ()) if none is."""
    flat = array.reshape(-1)
    count, first = 0, -1
    for start in range(0, flat.size, FINITE_CHUNK):  # in parts that stay in the cache
        finite = np.isfinite(flat[start : start + FINITE_CHUNK])
        if not finite.all():
            first = start + int(finite.argmin()) if first < 0 else first
            count += int(finite.size - finite.sum())
    return count, tuple(int(i) for i in np.unravel_index(first, array.shape)) if count else ()
