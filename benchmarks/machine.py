"""What the machine is, as far as it bears on speed."""

import os
import platform
from pathlib import Path
from typing import Any

BF16_FLAGS = ("amx_bf16", "avx512_bf16")


def _cpuinfo(key: str) -> str:
    """Return the first value of a key of /proc/cpuinfo, or nothing."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), ""
    )


def bf16_flags() -> list[str]:
    """Return the CPU's flags that speak of bf16: amx_bf16 is a matrix unit, avx512_bf16 a vector instruction."""
    flags = _cpuinfo("flags").split()
    return [flag for flag in BF16_FLAGS if flag in flags]


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy_seconds() -> float | None:
    """Return the CPU time that all processes together have used since the machine began; None where unknown."""
    path = Path("/proc/stat")
    if not path.is_file():
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, path.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def describe() -> dict[str, Any]:
    """Return the machine's description, as plain data."""
    vector = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in _cpuinfo("flags").split()]
    blas_settings = {
        k: v for k, v in sorted(os.environ.items()) if k.startswith(("OPENBLAS_", "MKL_", "OMP_"))
    }
    return {
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "vector units": ", ".join(vector) or "unknown",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load when begun": f"{os.getloadavg()[0]:.2f}",
        "BLAS settings in the environment": ", ".join(f"{k}={v}" for k, v in blas_settings.items()) or "none",
    }
