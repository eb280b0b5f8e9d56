"""The versions of what computes: results of different ones may differ in the last digits."""

import importlib.metadata
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from elman import __version__, numba_jit
from elman.arrays import is_torch


def versions(model: Any = None) -> dict[str, Any]:
    """Return the versions of elman, Python, NumPy, its BLAS and, where they are used, numba and torch; and the threads.

    The BLAS chooses its ``kernel`` by the CPU. ``threads`` are those that this process may use. ``model`` is a model
    whose weights say whether torch computes.
    """
    found = dict(_of_the_process())
    weights = list(getattr(model, "weights", {}).values()) if hasattr(model, "backend") else []
    if weights and is_torch(weights[0]):
        found["torch"] = importlib.metadata.version("torch")
    return found


@cache
def _of_the_process() -> dict[str, Any]:
    found: dict[str, Any] = {
        "elman": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    if numba_jit.is_available():
        found["numba"] = importlib.metadata.version("numba")
    for pool in threadpool_info():
        if pool["user_api"] == "blas" and "torch" not in Path(pool["filepath"]).parts:
            found["blas"] = f"{pool['internal_api']} {pool.get('version')}"
            found["kernel"] = str(pool.get("architecture"))
            break
    return found | {"threads": _threads()}


def _threads() -> int:
    """Return the number of threads that the environment allows, by default the number of cores that may be used."""
    limits = [os.environ.get(name, "") for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return next((int(n) for n in limits if n.isdecimal() and int(n) > 0), cores)
