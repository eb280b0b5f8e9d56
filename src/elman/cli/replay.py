"""`elman replay`: save a run as one HTML file."""

from pathlib import Path

import click

from elman.errors import ConfigError, RunError

MAX_BYTES = 12_000_000  # larger pages open slowly on a phone


@click.command("replay", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="HTML file to write  [default: RUN/replay.html]"
)
@click.option("--text", "texts", multiple=True, help="text to record; can be given several times")
@click.option(
    "--compare",
    "others",
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
    run: Path, output: Path | None, texts: tuple[str, ...], others: tuple[Path, ...], tokens: int, seed: int
) -> None:
    """Save a RUN as one HTML page that opens without a server and without a network.

    The page has the training curve, the samples, and everything that the page of `elman serve` shows about a few
    texts: those of --text, or texts that the model writes.
    """
    from elman.files import atomic_write
    from elman.recording.document import make_page
    from elman.recording.recording import record

    path = output or (run / "replay.html" if run.is_dir() else run.with_suffix(".html"))
    if not path.absolute().parent.is_dir():
        raise RunError(
            f"cannot write {path.name}: there is no folder {path.absolute().parent}; make it first"
        )
    page = make_page(record((run, *others), texts, tokens, seed)).encode("utf-8", "replace")
    if len(page) > MAX_BYTES:
        raise ConfigError(
            f"the page would have {len(page) / 1e6:.1f} MB, the limit is {MAX_BYTES / 1e6:.0f} MB; record fewer texts, "
            "or fewer --tokens of each"
        )
    try:
        with atomic_write(path) as file:
            file.write(page)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; choose another place with -o"
        ) from error
    click.echo(f"{path}: {len(page) / 1e6:.1f} MB")
