"""`elman plot`: learning curves."""

from pathlib import Path

import click


@click.command("plot", no_args_is_help=True)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="picture to write (.png, .svg, .pdf)")
def command(runs: tuple[Path, ...], output: Path | None) -> None:
    """Draw the learning curves of one or several RUNs in one picture (default: curve.png in the first)."""
    from elman.plots import plot_runs

    output = output or runs[0] / "curve.png"
    plot_runs(list(runs), output)
    click.echo(output)
