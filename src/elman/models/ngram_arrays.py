"""An n-gram model's levels as arrays with names, and back: what a model file holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ModelFileError
from elman.models.ngram_level import Level

_MOST_TOKENS = 2**31 - 1  # so that no key of a file outgrows 64 bits


def to_arrays(levels: Sequence[Level], vocab_size: int, eos: int | None) -> dict[str, NDArray[Any]]:
    """Return copies: ``vocab_size`` (1,), ``n.keys``, ``n.weights``, ``n.backoffs`` of each level n; ``eos`` (1,)."""
    arrays: dict[str, NDArray[Any]] = {"vocab_size": np.array([vocab_size], np.int64)}
    if eos is not None:
        arrays["eos"] = np.array([eos], np.int64)
    for n, level in enumerate(levels, 1):
        arrays[f"{n}.keys"] = level.keys[:-1].copy()
        arrays[f"{n}.weights"] = level.weights[:-1].copy()
        arrays[f"{n}.backoffs"] = level.backoffs[:-1].copy()
    return arrays


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> tuple[list[Level], int, int | None]:
    """Return the levels, V and eos; raises ModelFileError, naming the array that is missing or does not fit."""
    V = int(_array(arrays, "vocab_size", np.dtype(np.int64), 1)[0])
    if not 0 < V <= _MOST_TOKENS:
        raise ModelFileError(f"the n-gram model's vocab_size {V} is impossible; train the model anew")
    eos = int(_array(arrays, "eos", np.dtype(np.int64), 1)[0]) if "eos" in arrays else None
    if eos is not None and not 0 <= eos < V:
        raise ModelFileError(f"the n-gram model's eos {eos} is no id of its {V} tokens; train the model anew")
    K = V if eos is None else V + 1
    levels: list[Level] = []
    n_contexts = 1
    while not levels or f"{len(levels) + 1}.keys" in arrays:
        n = len(levels) + 1
        keys = _array(arrays, f"{n}.keys", np.dtype(np.int64))
        weights = _array(arrays, f"{n}.weights", np.dtype(np.float64), len(keys))
        backoffs = _array(arrays, f"{n}.backoffs", np.dtype(np.float64), n_contexts)
        if not (np.diff(keys, prepend=-1, append=n_contexts * K) > 0).all():
            raise ModelFileError(f"the n-gram model's array {n}.keys is out of order; train the model anew")
        levels.append(Level(keys, weights, backoffs, K))
        n_contexts = len(keys)
    return levels, V, eos


def _array(
    arrays: Mapping[str, NDArray[Any]], name: str, dtype: np.dtype[Any], length: int | None = None
) -> NDArray[Any]:
    if name not in arrays:
        raise ModelFileError(f"the n-gram model lacks its array {name}; train the model anew")
    array = arrays[name]
    if array.dtype != dtype or array.ndim != 1 or (length is not None and len(array) != length):
        wanted = f"{dtype} ({'G' if length is None else length},)"
        got = f"{array.dtype} {array.shape}"
        raise ModelFileError(f"the n-gram model's array {name} must be {wanted}, got {got}; train it anew")
    return array
