"""`elman plot`: draw learning curves."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from elman.plots import By


@click.command("plot", no_args_is_help=True)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the image to write (.png, .svg, .pdf)")
@click.option(
    "--by",
    type=click.Choice(["blocks", "minutes"]),
    default="blocks",
    show_default=True,
    help="the horizontal axis; minutes compare runs whose blocks differ in size",
)
def command(runs: tuple[Path, ...], output: Path | None, by: "By") -> None:
    """Draw the learning curves of one or several RUNs in one image (default: curve.png in the first RUN)."""
    from elman.plots import plot

    click.echo(plot(runs, output, by).path)
