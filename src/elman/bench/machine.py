"""What the machine is, as far as it bears on speed.

The memory of this process.
"""

import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

VECTOR_UNITS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
BF16_FLAGS = ("amx_bf16", "avx512_bf16")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
CORETYPE = "OPENBLAS_CORETYPE"


def _cpuinfo(key: str) -> str:
    """Return the first value of a key of /proc/cpuinfo, or nothing."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), ""
    )


def _flags(wanted: tuple[str, ...]) -> list[str]:
    here = _cpuinfo("flags").split()
    return [flag for flag in wanted if flag in here]


def bf16_flags() -> list[str]:
    """Return the CPU's flags that speak of bf16: amx_bf16 is a matrix unit, avx512_bf16 a vector instruction."""
    return _flags(BF16_FLAGS)


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def allowed_threads() -> int:
    """Return how many threads the environment allows a library; all usable cores where it does not say."""
    said = [os.environ.get(name, "") for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")]
    return next((int(n) for n in said if n.isdecimal() and int(n) > 0), usable_cores())


def with_threads(number: int) -> dict[str, str]:
    """Return the environment of a process whose libraries are to use so many threads."""
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(number))}


def busy_seconds() -> float | None:
    """Return the CPU time that all processes together have used since the machine began; None where unknown."""
    path = Path("/proc/stat")
    if not path.is_file():
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, path.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def describe() -> dict[str, Any]:
    """Return the machine's description, as plain data."""
    blas_settings = {
        k: v for k, v in sorted(os.environ.items()) if k.startswith(("OPENBLAS_", "MKL_", "OMP_"))
    }
    return {
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "vector units": ", ".join(_flags(VECTOR_UNITS)) or "unknown",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load when begun": f"{os.getloadavg()[0]:.2f}",
        "BLAS settings in the environment": ", ".join(f"{k}={v}" for k, v in blas_settings.items()) or "none",
    }


def numpy_blas() -> dict[str, str]:
    """Return the name, version and kernels of the BLAS that NumPy, which must have been imported, uses."""
    from threadpoolctl import threadpool_info

    for pool in threadpool_info():
        if pool["user_api"] == "blas" and "torch" not in Path(pool["filepath"]).parts:
            return {key: str(pool.get(key)) for key in ("internal_api", "version", "architecture")}
    return {}


def own_kernels() -> str | None:
    """Return the kernels that OpenBLAS would choose by itself; None where $OPENBLAS_CORETYPE is not set."""
    if CORETYPE not in os.environ:
        return None
    environment = {name: value for name, value in os.environ.items() if name != CORETYPE}
    code = "import numpy; from elman.bench.machine import numpy_blas; print(numpy_blas().get('architecture'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None


def peak_mb() -> float:
    """Return this process's peak resident memory in MB; its parent's, which Linux counts into maxrss, left out."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
