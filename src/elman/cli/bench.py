"""`elman bench`: measure how fast elman trains and scores on this machine."""

import json
from dataclasses import asdict
from typing import Any

import click

from elman import __version__
from elman.benchmark.bench import bench
from elman.benchmark.measurement import ROUNDS, TORCH, Result
from elman.benchmark.workloads import WORKLOADS
from elman.cli.output import table
from elman.language import translate


def _list_workloads(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        for work in WORKLOADS.values():
            click.echo(f"{work.name:<9}{translate(work.about)}")
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
def command(works: tuple[str, ...], peer: Any, seconds: float, threads: int | None, as_json: bool) -> None:
    """Measure how fast elman trains and scores on this machine.

    The workloads are A, B, C, D, E, G and H-words (--list describes them); without an argument, those that take less
    than half a minute in all are run. No corpus is read: the ids are random, by Zipf's law.

    elman is compared with the floor, the matrix products alone at the speed that NumPy's BLAS reaches here. Each
    runs in its own process, in turn; the figures are medians over the rounds.
    """
    found = bench(works, peer=peer, seconds=seconds, threads=threads)
    if as_json:
        whole = {"elman": __version__, "machine": found.machine, "works": [to_dict(row) for row in found]}
        click.echo(json.dumps(whole, ensure_ascii=False))
    else:
        click.echo(f"{translate(found.notes())}\n\n{table(found.text_rows(), found.left)}")


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
