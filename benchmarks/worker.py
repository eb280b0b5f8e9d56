"""A process that holds one peer of one work: it is told a number of steps a line, and answers with their time.

``python worker.py PEER WORK INPUTS`` reads standard input to its end and answers in JSON, a line each.
"""

import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

SHOWN = 10  # losses


def peak_mb() -> float:
    """Return this process's peak resident memory in MB; its parent's, which Linux counts into maxrss, left out."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def versions() -> dict[str, str]:
    """Return the libraries at work, with the BLAS that NumPy uses and the kernels that it chose."""
    from threadpoolctl import threadpool_info

    found = {name: sys.modules[name].__version__ for name in ("numpy", "torch", "jax") if name in sys.modules}
    for pool in threadpool_info():
        if pool["user_api"] == "blas" and "numpy" in pool["filepath"]:
            found["blas"] = f"{pool['internal_api']} {pool['version']} ({pool.get('architecture')} kernels)"
    return found


def answer(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def main() -> None:
    from inputs import load_inputs
    from peers import KINDS, NotHere
    from works import WORKS

    name, work, path = sys.argv[1:]
    kind = KINDS[name]
    try:
        module = importlib.import_module(f"peers.{kind.module}")
        libraries = peak_mb()
        peer = module.build(WORKS[work], load_inputs(Path(path)), kind.variant)
    except (ImportError, NotHere) as reason:
        answer(absent=str(reason))
        return
    answer(libraries_mb=libraries, versions=versions())
    for line in sys.stdin:
        began, cpu = time.perf_counter(), time.process_time()
        losses, tokens = peer.run(int(line))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        answer(seconds=seconds, cpu_seconds=cpu, tokens=tokens, losses=losses[:SHOWN], peak_mb=peak_mb())


if __name__ == "__main__":
    main()
