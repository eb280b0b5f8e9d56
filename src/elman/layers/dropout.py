"""Dropout of activations and of weights: while training, set a random part to zero and scale up the rest.

    y = x∘m         dx = dy∘m

Each entry of the mask m is 0 with probability p, and 1/(1 - p) otherwise.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np

from elman.arrays import Array, Buffers, asarray, batch_major, host_sync_allowed, namespace, time_major
from elman.errors import ConfigError, ShapeError
from elman.layers.base import check_gradient
from elman.one_line import one_line

Span = Literal["step", "block"]


class TimeDropout:
    """While ``train_flg``, set a fraction ``ratio`` of xs to zero and divide the rest by (1 - ratio).

    As the scaling is done while training, the layer is the identity when predicting. ``rng`` draws the mask, with NumPy
    for every array library, so that a seed gives the same numbers. ``mask="step"`` drops different units at every step,
    ``mask="block"`` the same units at all steps of a block. ``rows_of_batch``, if set, says that xs are these rows of a
    batch of N sequences: the mask of the whole batch is drawn, so that it does not depend on how the batch is divided.

    Source: N. Srivastava et al., JMLR 15 (2014); between recurrent layers: W. Zaremba et al. (2014); one mask
    through time: Y. Gal and Z. Ghahramani, NIPS 2016.
    """

    def __init__(
        self, ratio: float = 0.5, rng: np.random.Generator | None = None, mask: Span = "step"
    ) -> None:
        if not 0 <= ratio < 1:
            raise ConfigError(f"the dropout ratio must be in [0, 1), got {ratio}")
        if mask not in get_args(Span):
            raise ConfigError(f"the dropout mask must be 'step' or 'block', got {mask!r}")
        self.params: list[Array] = []
        self.grads: list[Array] = []
        self.ratio = ratio
        self.mask = mask
        self.rng = rng if rng is not None else np.random.default_rng()
        self.train_flg = True
        self.rows_of_batch: tuple[slice, int] | None = None
        self._mask: Any = None
        self._buffers = Buffers()

    def __repr__(self) -> str:
        return one_line(self, f"ratio={self.ratio:g}", f"mask={self.mask!r}")

    def forward(self, xs: Array) -> Array:
        """Return xs (N, T, D), with units dropped while training."""
        dropped = self.begin(xs)
        self.forward_steps(0, xs.shape[1])
        return dropped

    def backward(self, dout: Array) -> Array:
        """Return the gradient (N, T, D), which is zero where the unit was dropped."""
        dxs = self.begin_backward(dout)
        self.backward_steps(0, dout.shape[1])
        return dxs

    def begin(self, xs: Array) -> Array:
        """Draw the mask for xs (N, T, D), which may be filled later; return the array that `forward_steps` fills."""
        if not self.train_flg or self.ratio == 0:
            self._mask = None
            return xs
        if xs.ndim != 3:
            raise ShapeError(f"xs must be (N, T, D), got {tuple(xs.shape)}")
        N, T, D = xs.shape
        if host_sync_allowed():
            self.draw((N, T, D), like=xs)
        self._xs = time_major(xs)  # (T, N, D)
        self._dropped = self._buffers.get("dropped", (T, N, D), xs)
        return batch_major(self._dropped)

    def draw(self, shape: tuple[int, int, int], like: Array) -> None:
        """Draw the mask for an xs of this shape (N, T, D), in the library of ``like``.

        `begin` calls it, except within `no_host_sync`, before which it must have been called.
        """
        N, T, D = shape
        steps = T if self.mask == "step" else 1
        rows, whole = (slice(None), N) if self.rows_of_batch is None else self.rows_of_batch
        kept = self.rng.random((steps, whole, D), dtype=np.float32)[:, rows] >= self.ratio  # (steps, N, D)
        self._mask = self._buffers.get("mask", (steps, N, D), like)
        self._mask[...] = asarray(kept / (1 - self.ratio), like)

    def forward_steps(self, first: int, last: int) -> None:
        """Do the steps first ≤ t < last."""
        if self._mask is not None:
            self._multiply(self._xs, self._dropped, slice(first, last))

    def end(self) -> None:
        """Do nothing: no state is carried to the next block."""

    def begin_backward(self, dout: Array) -> Array:
        """Take dout (N, T, D), which may be filled later; return the gradient, which `backward_steps` fills."""
        if self._mask is None:
            return dout
        T, N, D = self._dropped.shape
        check_gradient(dout, (N, T, D))
        self._dout = time_major(dout)  # (T, N, D)
        self._dxs = self._buffers.get("dxs", (T, N, D), self._mask)
        return batch_major(self._dxs)

    def backward_steps(self, first: int, last: int) -> None:
        """Do the steps last > t ≥ first."""
        if self._mask is not None:
            self._multiply(self._dout, self._dxs, slice(first, last))

    def end_backward(self) -> None:
        """Do nothing: no state came in from the block before."""

    def weight_gradients(self) -> list[Callable[[], None]]:
        """Return nothing to do: there are no weights."""
        return []

    def _multiply(self, xs: Array, out: Array, span: slice) -> None:
        mask = self._mask[span] if self.mask == "step" else self._mask
        namespace(out).multiply(xs[span], mask, out=out[span])


class WeightDropout:
    """While ``train_flg``, one mask per block for a matrix of weights: 0 for a fraction ``ratio``, else 1/(1 - ratio).

    ``shape`` is that of the matrix, or (rows, 1) to drop whole rows. The layer multiplies the weights it uses, and the
    gradient it writes, by the mask; the weights themselves, and their mean effect, do not change. ``rng`` draws the
    mask, with NumPy for every array library.

    Sources: weights (DropConnect): L. Wan et al., ICML 2013; those from h to h: S. Merity, N. S. Keskar and
    R. Socher, ICLR 2018; rows of word vectors: Y. Gal and Z. Ghahramani, NIPS 2016.
    """

    def __init__(self, ratio: float, shape: tuple[int, int], rng: np.random.Generator) -> None:
        if not 0 < ratio < 1:
            raise ConfigError(f"the dropout ratio of weights must be in (0, 1), got {ratio}")
        self.ratio, self.shape, self.rng = ratio, shape, rng
        self.train_flg = True
        self._mask: Any = None
        self._buffers = Buffers()

    def begin(self, like: Array) -> Array | None:
        """Return the mask of a new block; None if nothing is dropped."""
        if not self.train_flg:
            return None
        if host_sync_allowed():
            self.draw(like)
        return self._mask

    def draw(self, like: Array) -> None:
        """Draw the mask, in the library of ``like``; `begin` calls it, except within `no_host_sync`."""
        kept = self.rng.random(self.shape, dtype=np.float32) >= self.ratio  # (rows, columns), or (rows, 1)
        self._mask = self._buffers.get("mask", self.shape, like)
        self._mask[...] = asarray(kept / (1 - self.ratio), like)


def dropouts_of(layer: Any) -> list[TimeDropout | WeightDropout]:
    """Return all dropout of a layer, in the order in which the layer's `begin` draws the masks."""
    if isinstance(layer, TimeDropout):
        return [layer]
    if hasattr(layer, "dropouts"):  # a block of layers
        return list(layer.dropouts)
    dropout = getattr(layer, "dropout", None)  # of its weights
    return [] if dropout is None else [dropout]
