"""The memory of this process."""

import resource
import sys
from pathlib import Path


def peak_mb() -> float:
    """Return this process's peak resident memory in MB; its parent's, which Linux counts into maxrss, left out."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
