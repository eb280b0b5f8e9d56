"""The check of ids at a model's boundary."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ShapeError, VocabularyError
from elman.models.base import Ids, Mask


def checked_ids(ids: Ids | NDArray[Any], lanes: int, vocab_size: int) -> NDArray[np.int64]:
    """Return ids (N, T) as int64, with N the state's lanes.

    Raises ShapeError for another shape, VocabularyError for what is no integer in [0, vocab_size).
    """
    ids = np.asarray(ids)
    if ids.ndim != 2 or len(ids) != lanes:
        raise ShapeError(f"ids must be ({lanes}, T), as many lanes as the state has, got {ids.shape}")
    if not np.issubdtype(ids.dtype, np.integer):
        raise VocabularyError(f"ids must be integers, got {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() >= vocab_size):
        outside = ids[(ids < 0) | (ids >= vocab_size)][0]
        raise VocabularyError(f"ids must lie in [0, {vocab_size}), got {outside}; encode the text anew")
    return ids.astype(np.int64)


def checked_mask(counted: Mask, shape: tuple[int, ...]) -> Mask:
    """Return ``counted`` as an array; raises ShapeError unless it is of truth values and has the shape of the ids."""
    counted = np.asarray(counted)
    if counted.shape != shape or counted.dtype != np.bool_:
        raise ShapeError(
            f"counted must be booleans {shape}, one for each id, got {counted.dtype} {counted.shape}"
        )
    return counted
