"""The process of one peer: it reads a number of steps per line, runs them, and prints their time.

``python -m elman.benchmark.worker PEER WORKLOAD`` reads standard input to its end. It answers each line
with one of JSON.
"""

import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from elman.benchmark.machine import peak_mb
from elman.benchmark.workloads import Peer, load
from elman.environment import numpy_blas
from elman.errors import ElmanError

LOSSES_REPORTED = 10
LIBRARIES = ("numpy", "numba", "torch", "jax")

M = TypeVar("M")


def versions() -> dict[str, str]:
    """Return the versions of the loaded libraries, and NumPy's BLAS with the kernels it chose."""
    found = {name: sys.modules[name].__version__ for name in LIBRARIES if name in sys.modules}
    if blas := numpy_blas():
        found["blas"] = f"{blas['internal_api']} {blas['version']} ({blas['architecture']} kernels)"
    return found


def answer(**values: Any) -> None:
    """Print one line of JSON, without buffering."""
    print(json.dumps(values), flush=True)


def serve(load: Callable[[], M], build: Callable[[M], Peer]) -> None:
    """Load a peer's libraries, build it, and run the numbers of steps given on standard input, line by line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent process
    try:
        libraries = load()
        libraries_mb = peak_mb()
        peer = build(libraries)
    except (ImportError, ElmanError) as error:
        answer(absent=str(error))
        return
    answer(libraries_mb=libraries_mb, versions=versions())
    for line in sys.stdin:
        began, cpu = time.perf_counter(), time.process_time()
        losses, tokens = peer.run(int(line))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        answer(
            seconds=seconds,
            cpu_seconds=cpu,
            tokens=tokens,
            losses=losses[:LOSSES_REPORTED],
            peak_mb=peak_mb(),
        )


def main() -> None:
    """Run the peer and workload named by the arguments."""
    from elman.benchmark.workloads import WORKLOADS, made_up

    name, workload = sys.argv[1], WORKLOADS[sys.argv[2]]
    serve(lambda: load(name), lambda module: module.build(workload, made_up(workload)))


if __name__ == "__main__":
    main()
