"""`elman plot`: draw learning curves."""

from pathlib import Path

import click

from elman.formats.metrics_log import read_metrics


@click.command("plot", no_args_is_help=True)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the image to write (.png, .svg, .pdf)")
def command(runs: tuple[Path, ...], output: Path | None) -> None:
    """Draw the learning curves of one or several RUNs in one image (default: curve.png in the first RUN)."""
    from elman.plots import plot_runs

    path = output or runs[0] / "curve.png"
    plot_runs(list(runs), path)
    click.echo(path)
    units = {line["unit"] for run in runs for line in read_metrics(run) if "unit" in line}
    if len(units) > 1:
        click.echo(
            f"elman: perplexities per {' and per '.join(sorted(units))} cannot be compared; "
            "compare the bits per character that `elman eval` prints",
            err=True,
        )
