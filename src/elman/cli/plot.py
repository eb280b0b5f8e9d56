"""`elman plot`: draw learning curves."""

from pathlib import Path

import click

from elman.plots import plot


@click.command("plot", no_args_is_help=True)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the image to write (.png, .svg, .pdf)")
def command(runs: tuple[Path, ...], output: Path | None) -> None:
    """Draw the learning curves of one or several RUNs in one image (default: curve.png in the first RUN)."""
    click.echo(plot(runs, output).path)
