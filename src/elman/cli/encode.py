"""`elman encode`: encode a large text in several processes, to train on."""

from pathlib import Path
from typing import Any

import click

from elman.api.encode import encode
from elman.cli.inputs import text_argument
from elman.cli.options import some_config_options
from elman.errors import ConfigError
from elman.training.encoded_folder import OF_THE_TEXT


@click.command("encode", no_args_is_help=True)
@click.argument("corpus")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER", help="the folder to write")
@click.option(
    "--column",
    metavar="NAME",
    help="the files of CORPUS are tables (Parquet, JSON Lines, CSV or TSV), and their column NAME holds the text",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="how many processes read the text",
)
@click.option("--overwrite", is_flag=True, help="replace an encoded corpus of other text or options")
@click.option("-q", "--quiet", is_flag=True, help="show warnings and the result only")
@some_config_options(*OF_THE_TEXT)
def command(
    corpus: str,
    output: Path | None,
    column: str | None,
    processes: int,
    overwrite: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Encode CORPUS as ids in FOLDER, to train on: elman train FOLDER.

    CORPUS is a text file (also compressed), a folder of such files, a named corpus, or - for standard input. If
    this is interrupted, the same command continues with what is missing.
    For instance: elman encode pages/ -o ids/ --column text --processes 8 --min-count 5
    """
    if output is None:
        raise ConfigError("name the folder to write: -o FOLDER")
    encoded = encode(
        text_argument(corpus),
        output,
        column=column,
        processes=processes,
        overwrite=overwrite,
        options={name: value for name, value in options.items() if value is not None},
        progress=not quiet,
    )
    click.echo(
        f"{output}: {encoded.tokens:,} tokens, {encoded.unknown:,} unknown, vocabulary {len(encoded.vocabulary):,}, "
        f"{encoded.bytes:,} bytes of text"
    )
