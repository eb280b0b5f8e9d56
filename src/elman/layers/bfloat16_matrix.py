"""Matrices of weights in bfloat16, which a layer multiplies by as it does by float32 arrays."""

import threading
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray

from elman.bfloat16 import Bits, Floats, rounded_bits, widened
from elman.errors import ConfigError
from elman.layers.kernels import kernels_for
from elman.numba_jit import can_jit

BLOCK = (
    1 << 17
)  # numbers that a product of few rows widens at a time: as float32 they stay in the second-level cache
LARGE_BLOCK = 1 << 21  # of many rows, whose products take 1.5 to 2.5 times as long with narrow blocks
MANY_ROWS = 64
FEW_ROWS = 4  # up to which compiled loops that widen each number as they need it are faster than a product
_own = threading.local()  # each thread's block of widened numbers


def is_product(name: str) -> bool:
    """Return whether a model multiplies by the weight of this name: a matrix called W…, or the word vectors."""
    last = name.rpartition(".")[2]
    return last == "embedding" or last.removeprefix("ffn_").startswith("W")


class Bfloat16Matrix(NDArrayOperatorsMixin):
    """A matrix (rows, columns) of bfloat16 that can be read as if it were a float32 array, but not changed.

    x·W widens some columns of W at a time, and indexing what was asked for. In all other operations of NumPy the whole
    matrix becomes a float32 array.

    Args:
        bits: the bits of the numbers, maybe memory-mapped.
    """

    dtype, ndim = np.dtype(np.float32), 2

    def __init__(self, bits: Bits) -> None:
        self.bits = bits

    @classmethod
    def of(cls, values: Floats) -> "Bfloat16Matrix":
        """Return these values, rounded."""
        return cls(rounded_bits(values))

    @property
    def shape(self) -> tuple[int, ...]:
        """The numbers of rows and columns."""
        return self.bits.shape

    @property
    def size(self) -> int:
        """The number of numbers."""
        return self.bits.size

    @property
    def nbytes(self) -> int:
        """The bytes that the matrix takes."""
        return self.bits.nbytes

    @property
    def T(self) -> "Bfloat16Matrix":
        """The transposed matrix, which shares the memory."""
        return Bfloat16Matrix(self.bits.T)

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, index: Any) -> Floats:
        return widened(self.bits[index])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return widened(self.bits).astype(dtype or np.float32, copy=False)

    def take(self, ids: Any, axis: int, out: Floats, mode: Any) -> Floats:
        """Write the rows with these ids to ``out``: called by `numpy.take`."""
        return widened(self.bits.take(ids, axis, mode=mode), out)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if out is not None and any(isinstance(each, Bfloat16Matrix) for each in out):
            raise ConfigError("weights in bfloat16 cannot be changed; import the model again in float32")
        if ufunc is np.matmul:
            rows, W = inputs
            fits = isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype == np.float32
            if fits and isinstance(W, Bfloat16Matrix):
                return W._multiplied_by(rows, None if out is None else out[0])
        arrays = [np.asarray(each) if isinstance(each, Bfloat16Matrix) else each for each in inputs]
        return getattr(ufunc, method)(*arrays, **options, **({} if out is None else {"out": out}))

    def _multiplied_by(self, rows: Floats, out: Floats | None) -> Floats:
        """Return rows·W (K, V) for rows (K, H)."""
        H, V = self.shape
        if out is None:
            out = np.empty((len(rows), V), np.float32)
        if len(rows) <= FEW_ROWS and can_jit(rows) and self.bits.flags.c_contiguous:
            kernels_for(rows).bfloat16_product(rows, self.bits, out)
            return out
        step = max(1, (BLOCK if len(rows) < MANY_ROWS else LARGE_BLOCK) // max(1, H))
        for first in range(0, V, step):
            columns = self.bits[:, first : first + step]
            np.matmul(rows, _block(columns), out=out[:, first : first + step])
        return out


def _block(bits: Bits) -> Floats:
    """Return the float32 of these bits, in an array that this thread's next call overwrites."""
    if not hasattr(_own, "block") or _own.block.size < bits.size:
        _own.block = np.empty(max(BLOCK, bits.size), np.float32)
    flat = _own.block[: bits.size]
    if bits.flags.c_contiguous or not bits.T.flags.c_contiguous:
        return widened(bits, flat.reshape(bits.shape))
    return widened(bits.T, flat.reshape(bits.T.shape)).T
