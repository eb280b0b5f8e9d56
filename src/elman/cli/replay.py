"""`elman replay`: save a run as one HTML file."""

from pathlib import Path

import click

from elman.recording.replay import replay


@click.command("replay", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="HTML file to write  [default: RUN/replay.html]"
)
@click.option("--text", multiple=True, help="text to record; can be given several times")
@click.option(
    "--compare",
    multiple=True,
    metavar="RUN2",
    type=click.Path(path_type=Path),
    help="another run to show next to it",
)
@click.option(
    "--tokens",
    default=80,
    show_default=True,
    type=click.IntRange(2, 1000),
    help="limit for the tokens of a text",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="seed of the texts that the model writes",
)
def command(
    run: Path, output: Path | None, text: tuple[str, ...], compare: tuple[Path, ...], tokens: int, seed: int
) -> None:
    """Save a RUN as one HTML page that opens without a server and without a network.

    The page has the training curve, the samples, and everything that the page of `elman serve` shows about a few
    texts: those of --text, or texts that the model writes.
    """
    path = replay(run, output, text=text, compare=compare, tokens=tokens, seed=seed)
    click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
