"""How soon elman is there: ``python benchmarks/startup.py``.

Seconds from the start of a process: `import elman`, `elman --help`, and the first training step of a small model, with
the loops not compiled (ELMAN_COMPILED=0), compiled and kept from before, and compiled with nothing kept. Medians.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from elman.benchmark.machine import describe
from elman.numba_jit import is_available
from tables import markdown
from watched import elman, watch

IMPORT, HELP, STEP = 0.15, 0.3, 2.0  # seconds allowed
TRAINING = ["train", "prose-en", "--cell", "lstm", "--hidden", "64", "--wordvec", "32", "--iterations", "1"]


def first_step(environment: Mapping[str, str]) -> float:
    """Return the seconds to the first step of a new run, whose text is not encoded yet."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        found = watch(elman(*TRAINING, "--report-every", "1", "-q", "-o", str(run)), run, environment)
    return found.seconds if found.first_step is None else found.first_step


def first_step_cold() -> float:
    """Return the seconds to the first step where no compiled loop has been kept."""
    with tempfile.TemporaryDirectory() as nothing:
        return first_step({"NUMBA_CACHE_DIR": nothing})


def starts() -> dict[str, tuple[Callable[[], float], float | None]]:
    """Return what is timed, and the seconds allowed."""
    python = sys.executable
    train = f"first step of `elman {' '.join(TRAINING)}`"
    found: dict[str, tuple[Callable[[], float], float | None]] = {
        "`python -c pass`": (lambda: watch([python, "-c", "pass"]).seconds, None),
        "`import elman`": (lambda: watch([python, "-c", "import elman"]).seconds, IMPORT),
        "`elman --help`": (lambda: watch(elman("--help")).seconds, HELP),
        f"{train}, loops not compiled": (lambda: first_step({"ELMAN_COMPILED": "0"}), STEP),
    }
    if is_available():
        found["the same, loops compiled before"] = (lambda: first_step({}), STEP)
        found["the same, loops compiled again"] = (first_step_cold, STEP)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed starts of each (default 5)")
    given = parser.parse_args()
    wanted = starts()
    times: dict[str, list[float]] = {name: [] for name in wanted}
    for name, (start, _) in wanted.items():
        if "again" not in name:
            start()  # files come into the system's memory, loops into the cache
    for _ in range(given.rounds):
        for name, (start, _) in wanted.items():
            times[name].append(start())
    rows = []
    for name, (_, allowed) in wanted.items():
        median = statistics.median(times[name])
        verdict = "–" if allowed is None else "yes" if median < allowed else "no"
        shown = "–" if allowed is None else f"{allowed:.2f}"
        rows.append(
            [name, f"{median:.3f}", f"{min(times[name]):.3f}", f"{max(times[name]):.3f}", shown, verdict]
        )
    print(f"# Start: medians of {given.rounds}, {'with' if is_available() else 'without'} numba\n")
    print(markdown(["machine", ""], [[key, str(value)] for key, value in describe().items()]))
    print(markdown(["start", "median, s", "fastest", "slowest", "allowed", "kept"], rows))


if __name__ == "__main__":
    main()
