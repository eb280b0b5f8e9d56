"""What this process computes with: the cores and threads that it may use, and NumPy's BLAS."""

import os
from pathlib import Path


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def allowed_threads() -> int:
    """Return how many threads the environment allows a library; the number of usable cores by default."""
    limits = [os.environ.get(name, "") for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")]
    return next((int(n) for n in limits if n.isdecimal() and int(n) > 0), usable_cores())


def numpy_blas() -> dict[str, str]:
    """Return internal_api, version and architecture (its kernels) of NumPy's BLAS. NumPy must have been imported."""
    from threadpoolctl import threadpool_info  # slow to import: only where something is computed

    for pool in threadpool_info():
        if pool["user_api"] == "blas" and "torch" not in Path(pool["filepath"]).parts:
            return {key: str(pool.get(key)) for key in ("internal_api", "version", "architecture")}
    return {}
