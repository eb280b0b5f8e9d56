"""Dropout of weights: one mask a block over a matrix of weights, or over its rows."""

from typing import Any

import numpy as np

from elman.arrays import Array, Buffers, asarray, attended
from elman.errors import ConfigError


class WeightDropout:
    """While ``train_flg``, a mask for a whole block: 0 for a share ``ratio`` of it, 1/(1 - ratio) for the rest.

    ``shape`` is that of the matrix, or (rows, 1) to drop whole rows. The layer multiplies by the mask what it reads
    of the weights, and the gradient that it writes; the weights themselves, and their mean effect, stay as they
    are. ``rng`` draws the mask, with NumPy whatever the array library.

    Sources: weights (DropConnect): L. Wan et al., ICML 2013; those from h to h: S. Merity, N. S. Keskar and
    R. Socher, ICLR 2018; rows of word vectors: Y. Gal and Z. Ghahramani, NIPS 2016.
    """

    def __init__(self, ratio: float, shape: tuple[int, int], rng: np.random.Generator) -> None:
        if not 0 < ratio < 1:
            raise ConfigError(f"the share of weights dropped must be in (0, 1), got {ratio}")
        self.ratio, self.shape, self.rng = ratio, shape, rng
        self.train_flg = True
        self._mask: Any = None
        self._buffers = Buffers()

    def begin(self, like: Array) -> Array | None:
        """Return the mask of a new block; None where nothing is dropped."""
        if not self.train_flg:
            return None
        if attended():
            self.draw(like)
        return self._mask

    def draw(self, like: Array) -> None:
        """Draw the mask, in the library of ``like``; `begin` does it, except where the host may not step in."""
        kept = self.rng.random(self.shape, dtype=np.float32) >= self.ratio
        self._mask = self._buffers.get("mask", self.shape, like)
        self._mask[...] = asarray(kept / (1 - self.ratio), like)
