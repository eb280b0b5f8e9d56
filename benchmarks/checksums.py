"""What checking a model file costs at load: its SHA-256 and whether all weights are finite, in ms per 100 MB.

python benchmarks/checksums.py [MB]
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from elman.arrays import not_finite
from elman.formats.model_file import digest_of, read_arrays, write_arrays

ARRAYS = 10
REPEATS = 5


def fastest_ms(run: Callable[[], Any]) -> float:
    """Return the milliseconds of the fastest of several calls."""
    times = []
    for _ in range(REPEATS):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return min(times) * 1e3


def main() -> None:
    """Print the times as a table."""
    mb = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    size = mb * 1_000_000 // (4 * ARRAYS)
    rng = np.random.default_rng(0)
    arrays = {f"array {k}": rng.standard_normal(size, np.float32) for k in range(ARRAYS)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        write_arrays(path, arrays, {"format": 1, "kind": "test"})
        rows = {
            "read, without a check": fastest_ms(lambda: read_arrays(path, verify=False)),
            "read, SHA-256 checked": fastest_ms(lambda: read_arrays(path)),
            "SHA-256 alone": fastest_ms(lambda: digest_of(arrays, "{}")),
            "all numbers finite": fastest_ms(lambda: [not_finite(array) for array in arrays.values()]),
        }
    print(f"ms per 100 MB of float32, the fastest of {REPEATS}")
    for name, ms in rows.items():
        print(f"{name:24}{ms * 100 / mb:8.1f}")


if __name__ == "__main__":
    main()
