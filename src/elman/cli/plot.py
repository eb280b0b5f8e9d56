"""`elman plot`: learning curves."""

from pathlib import Path

import click

from elman.formats.metrics_log import read_metrics


@click.command("plot", no_args_is_help=True)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="picture to write (.png, .svg, .pdf)")
def command(runs: tuple[Path, ...], output: Path | None) -> None:
    """Draw the learning curves of one or several RUNs in one picture (default: curve.png in the first)."""
    from elman.plots import plot_runs

    plot_runs(list(runs), output or runs[0] / "curve.png")
    click.echo(output or runs[0] / "curve.png")
    units = {line["unit"] for run in runs for line in read_metrics(run) if "unit" in line}
    if len(units) > 1:
        click.echo(
            f"elman: perplexities per {' and per '.join(sorted(units))} cannot be compared; "
            "compare the bits per character of `elman eval`",
            err=True,
        )
