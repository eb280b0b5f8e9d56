"""Output weights rounded to 16 or 8 bits, so that the scores of one word take less memory traffic.

To predict one word, a model reads its whole output matrix W (H, V), which takes longer than all else if V is large.
bfloat16 is half of the bytes, see `elman.bfloat16`. int8 stands for q·s, with one scale s
for each word and integers q from -127 to 127: a quarter of the bytes. Sums are float32.
"""

from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array
from elman.bfloat16 import Bits, rounded_bits, widened
from elman.errors import ConfigError
from elman.layers.bfloat16_matrix import FEW_ROWS
from elman.layers.kernels import kernels_for
from elman.numba_jit import can_jit

OutputDtype = Literal["float32", "bfloat16", "int8"]
_LARGEST = 127


class ReducedMatrix:
    """The reduced form of a float32 NumPy matrix W (H, V).

    Raises:
        ConfigError: W is of another kind, or the dtype is neither bfloat16 nor int8.
    """

    def __init__(self, W: Array, dtype: OutputDtype) -> None:
        if not isinstance(W, np.ndarray) or W.dtype != np.float32:
            raise ConfigError(
                "only float32 weights of NumPy can be reduced; load the model with `backend='numpy'`"
            )
        self.dtype = dtype
        self.scales = np.ones(W.shape[1], np.float32)  # (V,)
        if dtype == "bfloat16":
            self.values: Bits | NDArray[np.int8] = rounded_bits(W)  # (H, V)
        elif dtype == "int8":
            largest = np.abs(W).max(axis=0)  # (V,)
            self.scales[largest > 0] = largest[largest > 0] / _LARGEST
            self.values = np.ascontiguousarray(np.rint(W / self.scales), np.int8)  # (H, V)
        else:
            names = ", ".join(get_args(OutputDtype))
            raise ConfigError(f"`output_dtype` must be one of {names}, got {dtype!r}")

    def rounded(self) -> NDArray[np.float32]:
        """Return the numbers that the reduced form stands for, (H, V)."""
        if self.dtype == "int8":
            return np.multiply(self.values, self.scales, dtype=np.float32)
        return widened(cast(Bits, self.values))

    def product(self, rows: Array, W: Array) -> Array:
        """Return rows·W (K, V) for rows (K, H) and the rounded matrix W: a new array.

        Few rows are multiplied by the reduced form, if there are compiled loops for that.
        """
        if len(rows) > FEW_ROWS or not can_jit(rows):
            return rows @ W
        out = np.empty((len(rows), W.shape[1]), np.float32)  # (K, V)
        kernels_for(out).reduced_product(rows, self.values, self.scales, out)
        return out
