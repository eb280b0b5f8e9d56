"""Dropout: while training, forget a random part of the signal and scale up the rest."""

from typing import Any

import numpy as np

from elman.arrays import Array, asarray, batch_major, time_major
from elman.errors import ConfigError, ShapeError
from elman.layers.base import check_gradient


class TimeDropout:
    """While ``train_flg``, set a share ``ratio`` of xs to zero and divide the rest by (1 - ratio).

    Scaling while training leaves nothing to do when predicting: there the layer is the identity.
    ``rng`` draws the mask, with NumPy whatever the array library, so that a seed means the same numbers.

    Source: N. Srivastava et al., JMLR 15 (2014); between recurrent layers: W. Zaremba et al. (2014).
    """

    def __init__(self, ratio: float = 0.5, rng: np.random.Generator | None = None) -> None:
        if not 0 <= ratio < 1:
            raise ConfigError(f"the dropout ratio must be in [0, 1), got {ratio}")
        self.params: list[Array] = []
        self.grads: list[Array] = []
        self.ratio = ratio
        self.rng = rng if rng is not None else np.random.default_rng()
        self.train_flg = True
        self._mask: Any = None

    def forward(self, xs: Array) -> Array:
        """Return xs (N, T, D), with units dropped while training."""
        if not self.train_flg or self.ratio == 0:
            self._mask = None
            return xs
        if xs.ndim != 3:
            raise ShapeError(f"xs must be (N, T, D), got {tuple(xs.shape)}")
        N, T, D = xs.shape
        kept = self.rng.random((T, N, D), dtype=np.float32) >= self.ratio
        self._mask = asarray(kept / (1 - self.ratio), like=xs)  # (T, N, D)
        return batch_major(time_major(xs) * self._mask)

    def backward(self, dout: Array) -> Array:
        """Return the gradient (N, T, D), zero where the unit was dropped."""
        if self._mask is None:
            return dout
        T, N, D = self._mask.shape
        check_gradient(dout, (N, T, D))
        return batch_major(time_major(dout) * self._mask)
