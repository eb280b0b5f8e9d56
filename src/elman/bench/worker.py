"""A process that holds one peer of one work: it is told a number of steps a line, and answers with their time.

``python -m elman.bench.worker PEER WORK`` reads standard input to its end and answers in JSON, a line each.
"""

import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from elman.bench.machine import numpy_blas, peak_mb
from elman.bench.workloads import Peer, load
from elman.errors import ElmanError

SHOWN = 10  # losses
LIBRARIES = ("numpy", "numba", "torch", "jax")

M = TypeVar("M")


def versions() -> dict[str, str]:
    """Return the libraries at work, with the BLAS that NumPy uses and the kernels that it chose."""
    found = {name: sys.modules[name].__version__ for name in LIBRARIES if name in sys.modules}
    if blas := numpy_blas():
        found["blas"] = f"{blas['internal_api']} {blas['version']} ({blas['architecture']} kernels)"
    return found


def answer(**values: Any) -> None:
    """Print one line of JSON, at once."""
    print(json.dumps(values), flush=True)


def serve(load: Callable[[], M], build: Callable[[M], Peer]) -> None:
    """Load a peer's libraries, build it, and run the steps that standard input asks for, line by line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks
    try:
        libraries = load()
        libraries_mb = peak_mb()
        peer = build(libraries)
    except (ImportError, ElmanError) as reason:
        answer(absent=str(reason))
        return
    answer(libraries_mb=libraries_mb, versions=versions())
    for line in sys.stdin:
        began, cpu = time.perf_counter(), time.process_time()
        losses, tokens = peer.run(int(line))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        answer(seconds=seconds, cpu_seconds=cpu, tokens=tokens, losses=losses[:SHOWN], peak_mb=peak_mb())


def main() -> None:
    """Be the peer that the arguments name."""
    from elman.bench.workloads import WORKS, made_up

    name, work = sys.argv[1], WORKS[sys.argv[2]]
    serve(lambda: load(name), lambda module: module.build(work, made_up(work)))


if __name__ == "__main__":
    main()
