"""The versions of what computes: results of different ones may differ in the last digits."""

import platform
from functools import cache
from typing import Any

import numpy as np

from elman import __version__, numba_jit
from elman.arrays import is_torch
from elman.environment import allowed_threads, numpy_blas


def versions(model: Any = None) -> dict[str, Any]:
    """Return the versions of elman, Python, NumPy, its BLAS and, where they are used, numba and torch; and the threads.

    The BLAS chooses its ``kernel`` by the CPU. ``threads`` are those that this process may use. ``model`` is a model
    whose weights say whether torch computes.
    """
    found = dict(_of_the_process())
    weights = list(getattr(model, "weights", {}).values()) if hasattr(model, "backend") else []
    if weights and is_torch(weights[0]):
        found["torch"] = _version_of("torch")
    return found


@cache
def _of_the_process() -> dict[str, Any]:
    found: dict[str, Any] = {
        "elman": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    if numba_jit.is_available():
        found["numba"] = _version_of("numba")
    if blas := numpy_blas():
        found |= {"blas": f"{blas['internal_api']} {blas['version']}", "kernel": blas["architecture"]}
    return found | {"threads": allowed_threads()}


def _version_of(library: str) -> str:
    from importlib.metadata import version  # slow to import: only where something is computed

    return version(library)
