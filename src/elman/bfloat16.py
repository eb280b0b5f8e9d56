"""bfloat16, the upper half of a float32: 8 bits of precision in half of the memory.

NumPy has no such type, so its numbers are kept as their bits, uint16.
"""

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint16]
Floats = NDArray[np.float32]
_EXPONENT = np.uint16(0x7F80)


def rounded_bits(values: Floats) -> Bits:
    """Return the bits of the nearest numbers of bfloat16; of two equally near ones the even one."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def widened(bits: Bits, out: Floats | None = None) -> Floats:
    """Return the float32 with these bits: in ``out``, which is in row-major order, or a new array."""
    if out is None:
        out = np.empty(bits.shape, np.float32)
    np.left_shift(bits, 16, out=out.view(np.uint32), dtype=np.uint32)
    return out


def all_finite(bits: Bits) -> bool:
    """Return whether no number is NaN or infinite: those have all bits of the exponent set."""
    return not ((bits & _EXPONENT) == _EXPONENT).any()
