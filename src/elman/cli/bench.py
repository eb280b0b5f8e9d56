"""`elman bench`: how fast elman is on this machine."""

import json
from typing import Any

import click

from elman import __version__
from elman.bench.machine import allowed_threads, describe, own_kernels
from elman.bench.result import ROUNDS, TORCH, Result, measured
from elman.bench.works import WORKS, chosen
from elman.cli import bench_report as report


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
        found = {"elman": __version__, "machine": machine, "works": [report.plain(r) for r in results]}
        click.echo(json.dumps(found, ensure_ascii=False))


def _show(result: Result, machine: dict[str, Any] | None, seconds: float) -> None:
    """Print a row, below the machine and the titles where it is the first."""
    if machine is not None:
        click.echo("\n".join([*report.opening(machine, seconds), "", report.titles(TORCH in result.members)]))
    click.echo(report.row(result))
    for remark in report.remarks(result):
        click.echo(f"  {result.work.name}: {remark}", err=True)
