"""`elman bench`: how fast elman is on this machine.

What `elman bench` shows: the machine, a row a work, and all of it as plain data.
"""

import json
from dataclasses import asdict
from typing import Any

import click

from elman import __version__
from elman.bench.machine import CORETYPE, allowed_threads, describe, own_kernels
from elman.bench.measurement import ROUNDS, TORCH, Result, measured
from elman.bench.workloads import WORKS, chosen

DISTURBING = 0.1  # share of the cores
AGREEMENT_NATS = 1e-3
DOES = {"train": "train", "words": "score"}
HEADS = ("work", "does", "tokens/s", "µs a token", "of the floor", "peak memory")
TORCH_HEADS = ("torch's µs", "torch's memory", "times as fast")


def opening(machine: dict[str, Any], seconds: float) -> list[str]:
    """Return what stands above the table: the machine, its libraries, and how the figures come about."""
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
            f"{CORETYPE} is set ({blas_settings}): by itself NumPy's BLAS would choose its {own} kernels; "
            f"to measure those: env -u {CORETYPE} elman bench"
        )
    lines.append(
        f"ids made up, by Zipf's law; medians of {ROUNDS} turns, {seconds / ROUNDS:g} s each, one peer after the other"
    )
    return lines


def titles(with_torch: bool) -> str:
    """Return the table's first line."""
    return _line(HEADS + TORCH_HEADS * with_torch)


def row(result: Result) -> str:
    """Return one work's line of the table."""
    ours, torch = result.ours, result.members.get(TORCH)
    cells = [
        result.work.name,
        DOES[result.work.task],
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


def remarks(result: Result) -> list[str]:
    """Return what to know before one believes a row."""
    found = []
    if result.others_share is not None and result.others_share > DISTURBING:
        found.append(f"other processes took {result.others_share:.0%} of the cores meanwhile")
    if TORCH in result.members and (gap := result.loss_gap_nats(TORCH)) > AGREEMENT_NATS:
        found.append(f"torch's first losses differ from elman's, by {gap:.2g} nats: it does not do the same")
    return found


def plain(result: Result) -> dict[str, Any]:
    """Return a result as plain data."""
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


def _list_works(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        for work in WORKS.values():
            click.echo(f"{work.name:<9}{work.about}")
        ctx.exit()


@click.command("bench")
@click.argument("works", nargs=-1, metavar="[WORK]...")
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_works,
    help="print the works and what each is",
)
@click.option(
    "--peer", type=click.Choice([TORCH]), help="time PyTorch (eager, on the CPU) at the same works, too"
)
@click.option(
    "--seconds",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    default=1.5,
    show_default=True,
    help=f"how long to time each peer of a work, in {ROUNDS} turns",
)
@click.option(
    "--threads",
    metavar="INTEGER",
    type=click.IntRange(min=1),
    help="of every peer  [default: $OPENBLAS_NUM_THREADS or $OMP_NUM_THREADS, else the cores]",
)
@click.option("--json", "as_json", is_flag=True, help="a JSON object, with the time of every turn")
def command(
    works: tuple[str, ...], peer: str | None, seconds: float, threads: int | None, as_json: bool
) -> None:
    """Measure how fast elman trains and scores on this machine.

    The WORKs are A, B, C, D, E, G and H-words (--list says what they are); without one, those that are over
    within half a minute. No corpus is read: the ids are made up, by Zipf's law.

    Beside elman stands the floor, the same matrix products alone at the rate that NumPy's BLAS reaches here.
    Each has a process of its own, and they work in turn; figures are medians over the turns.
    """
    wanted, machine, results = chosen(works), describe(), list[Result]()
    machine |= {"threads": threads or allowed_threads(), "kernels of its own choice": own_kernels()}
    for work in wanted:
        click.echo(f"… {work.name}: {work.about}", err=True)
        result = measured(work, [peer] if peer else [], machine["threads"], seconds)
        if not results:
            machine["libraries"] = result.libraries
        if not as_json:
            _show(result, None if results else machine, seconds)
        results.append(result)
    if as_json:
        found = {"elman": __version__, "machine": machine, "works": [plain(r) for r in results]}
        click.echo(json.dumps(found, ensure_ascii=False))


def _show(result: Result, machine: dict[str, Any] | None, seconds: float) -> None:
    """Print a row, below the machine and the titles where it is the first."""
    if machine is not None:
        click.echo("\n".join([*opening(machine, seconds), "", titles(TORCH in result.members)]))
    click.echo(row(result))
    for remark in remarks(result):
        click.echo(f"  {result.work.name}: {remark}", err=True)
