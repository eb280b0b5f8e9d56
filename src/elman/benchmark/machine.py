"""The machine as far as it matters for speed: CPU, BLAS, threads, load, and the memory of this process.

Linux, macOS and Windows differ in what can be found out; what is unknown is reported so.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from elman.environment import usable_cores

VECTOR_UNITS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
BF16_FLAGS = ("amx_bf16", "avx512_bf16")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
CORETYPE = "OPENBLAS_CORETYPE"


def _cpuinfo(key: str) -> str:
    """Return the first value of a key in /proc/cpuinfo; an empty string where there is none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), ""
    )


def _cpu_flags(wanted: tuple[str, ...]) -> list[str]:
    present = _cpuinfo("flags").split()
    return [flag for flag in wanted if flag in present]


def bf16_flags() -> list[str]:
    """Return the CPU's bf16 flags: amx_bf16 is a matrix unit, avx512_bf16 a vector instruction."""
    return _cpu_flags(BF16_FLAGS)


def with_threads(number: int) -> dict[str, str]:
    """Return the environment for a process whose libraries use this number of threads."""
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(number))}


def busy_seconds() -> float | None:
    """Return the CPU seconds of all processes together since the machine started; None where unknown."""
    path = Path("/proc/stat")
    if not path.is_file():
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, path.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def describe() -> dict[str, Any]:
    """Return a description of the machine as plain data."""
    blas_settings = {
        k: v for k, v in sorted(os.environ.items()) if k.startswith(("OPENBLAS_", "MKL_", "OMP_"))
    }
    return {
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "vector units": ", ".join(_cpu_flags(VECTOR_UNITS)) or "unknown",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load when begun": f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown",
        "BLAS settings in the environment": ", ".join(f"{k}={v}" for k, v in blas_settings.items()) or "none",
    }


def own_kernels() -> str | None:
    """Return the kernels that OpenBLAS would choose without $OPENBLAS_CORETYPE; None where that is not set."""
    if CORETYPE not in os.environ:
        return None
    environment = {name: value for name, value in os.environ.items() if name != CORETYPE}
    code = "import numpy; from elman.environment import numpy_blas; print(numpy_blas().get('architecture'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None


def peak_mb() -> float:
    """Return the peak resident memory of this process in MB."""
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss would include the parent's memory on Linux
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    if sys.platform == "win32":
        return _peak_mb_of_windows()
    import resource

    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    class _MemoryCounters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS of psapi.h."""

        _fields_ = (
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("WorkingSetSize", ctypes.c_size_t),
            ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
            ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
            ("PagefileUsage", ctypes.c_size_t),
            ("PeakPagefileUsage", ctypes.c_size_t),
        )

    def _peak_mb_of_windows() -> float:
        kernel = ctypes.windll.kernel32
        kernel.GetCurrentProcess.restype = wintypes.HANDLE
        kernel.K32GetProcessMemoryInfo.argtypes = (wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD)
        counters = _MemoryCounters()
        counters.cb = ctypes.sizeof(counters)
        kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
        return counters.PeakWorkingSetSize / (1 << 20)
