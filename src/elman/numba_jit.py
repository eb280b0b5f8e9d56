"""Compile loops with numba where it is installed (the extra ``fast``) and $ELMAN_COMPILED is not 0.

The compiled functions are ordinary Python, which runs, slowly, without numba too.
"""

import importlib.util
import os
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

# Sums may be taken in another order, as a vector unit needs; NaN and infinity keep their meaning (with "arcp"
# vectors would multiply by reciprocals, and x / infinity would be NaN).
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"reassoc", "contract", "nsz"},
    "error_model": "numpy",
}


@cache
def available() -> bool:
    """Tell whether numba is here and wanted; it is not imported before something is compiled."""
    return os.environ.get("ELMAN_COMPILED") != "0" and importlib.util.find_spec("numba") is not None


def serves(array: Any) -> bool:
    """Tell whether compiled loops may go over arrays like this one: float32 ones of NumPy's."""
    return isinstance(array, np.ndarray) and array.dtype == np.float32 and available()


def compiled(function: F) -> F:
    """Return ``function`` compiled at its first call, free of the interpreter's lock; as it is without numba.

    The machine code is kept in a cache on disk, beside this package or in the user's cache folder.
    """
    if not available():
        return function
    import numba

    try:
        return cast(F, numba.njit(cache=True, **_OPTIONS)(function))
    except RuntimeError:  # no folder to keep it in
        return cast(F, numba.njit(**_OPTIONS)(function))
