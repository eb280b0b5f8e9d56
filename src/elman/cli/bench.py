"""`elman bench`: measure how fast elman trains and scores on this machine."""

import json
from dataclasses import asdict
from typing import Any

import click

from elman import __version__
from elman.benchmark.machine import CORETYPE, allowed_threads, describe, own_kernels
from elman.benchmark.measurement import ROUNDS, TORCH, Result, measured
from elman.benchmark.workloads import WORKLOADS, chosen

DISTURBANCE = 0.1  # fraction of the cores that other processes may use without a remark
AGREEMENT_NATS = 1e-3
TASKS = {"train": "train", "words": "score"}
COLUMNS = ("work", "task", "tokens/s", "µs per token", "of the floor", "peak memory")
TORCH_COLUMNS = ("torch µs", "torch memory", "speed-up")


def _list_workloads(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        for work in WORKLOADS.values():
            click.echo(f"{work.name:<9}{work.about}")
        ctx.exit()


@click.command("bench")
@click.argument("works", nargs=-1, metavar="[WORKLOAD]...")
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_workloads,
    help="list the workloads and describe each",
)
@click.option(
    "--peer", type=click.Choice([TORCH]), help="also time PyTorch (eager, on the CPU) on the same workloads"
)
@click.option(
    "--seconds",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    default=1.5,
    show_default=True,
    help=f"how long to time each program on a workload, in {ROUNDS} rounds",
)
@click.option(
    "--threads",
    metavar="INTEGER",
    type=click.IntRange(min=1),
    help="threads of every program  [default: $OPENBLAS_NUM_THREADS or $OMP_NUM_THREADS, else the number of cores]",
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object, with the time of every round")
def command(
    works: tuple[str, ...], peer: str | None, seconds: float, threads: int | None, as_json: bool
) -> None:
    """Measure how fast elman trains and scores on this machine.

    The workloads are A, B, C, D, E, G and H-words (--list describes them); without an argument, those that take less
    than half a minute in all are run. No corpus is read: the ids are random, by Zipf's law.

    elman is compared with the floor, the matrix products alone at the speed that NumPy's BLAS reaches here. Each
    runs in its own process, in turn; the figures are medians over the rounds.
    """
    wanted, machine, results = chosen(works), describe(), list[Result]()
    machine |= {"threads": threads or allowed_threads(), "kernels of its own choice": own_kernels()}
    for work in wanted:
        click.echo(f"… {work.name}: {work.about}", err=True)
        result = measured(work, [peer] if peer else [], machine["threads"], seconds)
        if not results:
            machine["libraries"] = result.libraries
        if not as_json:
            _print_result(result, None if results else machine, seconds)
        results.append(result)
    if as_json:
        found = {"elman": __version__, "machine": machine, "works": [to_dict(r) for r in results]}
        click.echo(json.dumps(found, ensure_ascii=False))


def _print_result(result: Result, machine: dict[str, Any] | None, seconds: float) -> None:
    """Print a row of the table; before the first, the machine and the column names."""
    if machine is not None:
        click.echo("\n".join([*header(machine, seconds), "", column_names(TORCH in result.members)]))
    click.echo(row(result))
    for warning in warnings(result):
        click.echo(f"  {result.work.name}: {warning}", err=True)


def header(machine: dict[str, Any], seconds: float) -> list[str]:
    """Return the lines above the table: the machine, its libraries, and how the figures are measured."""
    libraries = dict(machine["libraries"])
    blas, numba = libraries.pop("blas", "BLAS unknown"), libraries.pop("numba", None)
    named = ", ".join(f"{name} {version}" for name, version in libraries.items())
    lines = [
        f"elman {__version__} on {machine['cpu']}, {machine['cores']} cores ({machine['vector units']}), "
        f"load {machine['load when begun']}; {machine['system']}",
        f"{named}; {blas}; {machine['threads']} threads; "
        + (f"loops compiled by numba {numba}" if numba else "loops not compiled (numba is not in use)"),
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


def column_names(with_torch: bool) -> str:
    """Return the first line of the table."""
    return _line(COLUMNS + TORCH_COLUMNS * with_torch)


def row(result: Result) -> str:
    """Return the line of the table for one workload."""
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
    return _line(cells)


def _line(cells: Any) -> str:
    first, second, *others = cells
    return f"{first:<9}{second:<6}" + "".join(f"{cell:>15}" for cell in others)


def warnings(result: Result) -> list[str]:
    """Return warnings about a result: a busy machine, or losses that differ."""
    found = []
    if result.others_share is not None and result.others_share > DISTURBANCE:
        found.append(f"other processes used {result.others_share:.0%} of the cores meanwhile")
    if TORCH in result.members and (gap := result.loss_gap_nats(TORCH)) > AGREEMENT_NATS:
        found.append(
            f"torch's first losses differ from elman's by {gap:.2g} nats: the computations are not the same"
        )
    return found


def to_dict(result: Result) -> dict[str, Any]:
    """Return a result as a dictionary for JSON."""
    ours, work = result.ours, result.work
    found: dict[str, Any] = {
        "work": asdict(work),
        "tokens_per_second": 1 / ours.seconds_per_token,
        "microseconds_per_token": 1e6 * ours.seconds_per_token,
        "share_of_floor": result.share_of_floor,
        "peak_mb": ours.peak_mb,
        "others_share_of_cores": result.others_share,
    }
    if TORCH in result.members:
        found["times_as_fast_as_torch"] = result.times_as_fast(TORCH)
        found["torch_loss_gap_nats"] = result.loss_gap_nats(TORCH)
    found["peers"] = {
        name: {
            "seconds_per_token": member.rounds,
            "steps_a_turn": member.steps,
            "first_losses_nats": member.first_losses,
            "peak_mb": member.peak_mb,
            "libraries_mb": member.libraries_mb,
        }
        for name, member in result.members.items()
    }
    return found
