"""`bench`: how fast elman trains and scores on this machine, as a table."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

from elman import __version__
from elman.benchmark.machine import CORETYPE, describe, own_kernels
from elman.benchmark.measurement import ROUNDS, TORCH, Result, measured
from elman.benchmark.workloads import chosen
from elman.environment import allowed_threads
from elman.errors import ConfigError
from elman.results import Table

DISTURBANCE = 0.1  # fraction of the cores that other processes may use without a remark
AGREEMENT_NATS = 1e-3
TASKS = {"train": "train", "words": "score"}
COLUMNS = ("work", "task", "tokens/s", "µs per token", "of the floor", "peak memory")
TORCH_COLUMNS = ("torch µs", "torch memory", "speed-up")
log = logging.getLogger(__name__)


class Bench(Table[Result]):
    """The speed of elman on each workload; ``machine`` describes where it was measured."""

    left = 2

    def __init__(self, rows: Sequence[Result], machine: dict[str, Any], seconds: float) -> None:
        super().__init__(rows)
        self.machine, self.seconds = machine, seconds

    @property
    def with_torch(self) -> bool:
        """Whether PyTorch was measured, too."""
        return any(TORCH in row.members for row in self)

    def row_dict(self, row: Result) -> dict[str, Any]:
        """Return the columns of a workload."""
        found = {
            "work": row.work.name,
            "task": TASKS[row.work.task],
            "tokens_per_second": 1 / row.ours.seconds_per_token,
            "microseconds_per_token": 1e6 * row.ours.seconds_per_token,
            "share_of_floor": row.share_of_floor,
            "peak_mb": row.ours.peak_mb,
        }
        if self.with_torch:
            torch = row.members[TORCH]
            found |= {
                "torch_microseconds_per_token": 1e6 * torch.seconds_per_token,
                "torch_peak_mb": torch.peak_mb,
                "times_as_fast_as_torch": row.times_as_fast(TORCH),
            }
        return found

    def text_rows(self) -> list[list[str]]:
        """Return the table as text."""
        return [[*COLUMNS, *TORCH_COLUMNS * self.with_torch], *map(_text_row, self)]

    def notes(self) -> str:
        """Describe the machine, its libraries, and how the figures are measured."""
        return "\n".join(_header(self.machine, self.seconds))


def bench(
    works: str | Sequence[str] = (),
    *,
    peer: Literal["torch"] | None = None,
    seconds: float = 1.5,
    threads: int | None = None,
) -> Bench:
    """Measure how fast elman trains and scores on this machine.

    elman is compared with the floor, the matrix products alone at the speed that NumPy's BLAS reaches here. Each runs
    in its own process, in turn; the figures are medians over the rounds. No corpus is read: the ids are random.

    Args:
        works: names of workloads: A, B, C, D, E, G, H-words; by default those that take less than half a minute in all.
        peer: "torch" also times PyTorch (eager, on the CPU) on the same workloads.
        seconds: how long to time each program on a workload.
        threads: of every program; by default $OPENBLAS_NUM_THREADS or $OMP_NUM_THREADS, else the number of cores.

    Raises:
        ConfigError: there is no workload of a name, or an argument is out of range.
        MissingExtra: torch is the peer and is not installed.
        RunError: a process cannot start, or dies.
    """
    wanted = chosen((works,) if isinstance(works, str) else works)
    if peer not in (None, TORCH):
        raise ConfigError(f"`peer` must be {TORCH!r} or None, got {peer!r}")
    if not seconds > 0 or (threads is not None and threads < 1):
        raise ConfigError(f"`seconds` must be above 0 and `threads` ≥ 1, got {seconds} and {threads}")
    machine = describe()
    machine |= {"threads": threads or allowed_threads(), "kernels of its own choice": own_kernels()}
    results: list[Result] = []
    for work in wanted:
        log.info("… %s: %s", work.name, work.about)
        result = measured(work, [peer] if peer else [], machine["threads"], seconds)
        for warning in _warnings(result):
            log.warning("%s: %s", work.name, warning)
        results.append(result)
    return Bench(results, machine | {"libraries": results[0].libraries}, seconds)


def _header(machine: dict[str, Any], seconds: float) -> list[str]:
    """Return the lines above the table: the machine, its libraries, and how the figures are measured."""
    libraries = dict(machine["libraries"])
    blas, numba = libraries.pop("blas", "BLAS unknown"), libraries.pop("numba", None)
    named = ", ".join(f"{name} {version}" for name, version in libraries.items())
    lines = [
        f"elman {__version__} on {machine['cpu']}, {machine['cores']} cores ({machine['vector units']}), "
        f"load {machine['load when begun']}; {machine['system']}",
        f"{named}; {blas}; {machine['threads']} threads; "
        + (
            f"loops compiled by numba {numba}"
            if numba
            else "loops not compiled: numba is not in use (pip install 'elman[fast]'), which is 1.1 to 3 times as fast"
        ),
    ]
    own, blas_settings = machine["kernels of its own choice"], machine["BLAS settings in the environment"]
    if own is not None:
        lines.append(
            f"{CORETYPE} is set ({blas_settings}): without it NumPy's BLAS would choose its {own} kernels; "
            f"to measure those: env -u {CORETYPE} elman bench"
        )
    lines.append(
        f"random ids, by Zipf's law; medians of {ROUNDS} rounds of {seconds / ROUNDS:g} s, the programs in turn"
    )
    return lines


def _text_row(result: Result) -> list[str]:
    """Return the row of the table for one workload."""
    ours, torch = result.ours, result.members.get(TORCH)
    cells = [
        result.work.name,
        TASKS[result.work.task],
        f"{1 / ours.seconds_per_token:,.0f}",
        f"{1e6 * ours.seconds_per_token:,.2f}",
        f"{result.share_of_floor:.0%}",
        f"{ours.peak_mb:,.0f} MB",
    ]
    if torch is not None:
        cells += [
            f"{1e6 * torch.seconds_per_token:,.2f}",
            f"{torch.peak_mb:,.0f} MB",
            f"{result.times_as_fast(TORCH):.2f}",
        ]
    return cells


def _warnings(result: Result) -> list[str]:
    """Return warnings about a result: a busy machine, or losses that differ."""
    found = []
    if result.others_share is not None and result.others_share > DISTURBANCE:
        found.append(f"other processes used {result.others_share:.0%} of the cores meanwhile")
    if TORCH in result.members and (gap := result.loss_gap_nats(TORCH)) > AGREEMENT_NATS:
        found.append(
            f"torch's first losses differ from elman's by {gap:.2g} nats: the computations are not the same"
        )
    return found
