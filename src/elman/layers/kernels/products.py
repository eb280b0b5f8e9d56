"""Matrix products within compiled functions, by the BLAS that NumPy brings along.

numba's own products need SciPy, and calls of NumPy's from Python cost more than a small product itself. So compiled
functions call the BLAS directly. `can_compile_products` must have been called, and its result must be true, before a
compiled function that calls `product` is.
"""

import ctypes
import importlib
from functools import cache
from typing import Any

import numpy as np

from elman.arrays import Array
from elman.numba_jit import is_available
from elman.workers import blas_function

SYMBOL = "elman_sgemm"  # the name under which compiled functions find the BLAS's function
ROW_MAJOR, AS_IT_IS, TRANSPOSED = 101, 111, 112  # of the interface CBLAS


def product(a: Array, b: Array, out: Array) -> None:
    """out = a·b for a (M, K), b (K, N) and out (M, N), float32; a and b may be transposed views."""
    np.matmul(a, b, out=out)


@cache
def can_compile_products() -> bool:
    """Make `product` known to compiled functions; return whether that is possible here."""
    sgemm = blas_function("cblas_sgemm") if is_available() else None
    if sgemm is None:
        return False
    from numba import types
    from numba.extending import overload

    importlib.import_module("llvmlite.binding").add_symbol(SYMBOL, ctypes.cast(sgemm, ctypes.c_void_p).value)
    flag, size, number, array = types.int32, types.int64, types.float32, types.CPointer(types.float32)
    multiply = types.ExternalFunction(
        SYMBOL,
        types.void(*[flag] * 3, *[size] * 3, number, array, size, array, size, number, array, size),
    )

    def compiled_product(a: Any, b: Any, out: Any) -> Any:
        a_as_it_is, b_as_it_is = a.layout == "C", b.layout == "C"
        order, one, zero = np.int32(ROW_MAJOR), np.float32(1), np.float32(0)
        of_a, of_b = (np.int32(AS_IT_IS if array.layout == "C" else TRANSPOSED) for array in (a, b))

        def by_blas(a: Any, b: Any, out: Any) -> None:
            (M, K), N = a.shape, b.shape[1]
            a_row, b_row = (K if a_as_it_is else M), (N if b_as_it_is else K)  # as they are in memory
            multiply(order, of_a, of_b, M, N, K, one, a.ctypes, a_row, b.ctypes, b_row, zero, out.ctypes, N)

        return by_blas

    overload(product)(compiled_product)
    return True
