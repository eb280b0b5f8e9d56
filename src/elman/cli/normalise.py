"""`elman normalise`: rewrite text as it is spoken, for models that rescore speech recognition."""

from pathlib import Path
from typing import Any

import click

from elman.cli.inputs import text_argument
from elman.cli.options import errors_option
from elman.errors import ConfigError
from elman.text.normalising import normalise
from elman.text.spoken import LAYOUTS


@click.command("normalise", no_args_is_help=True)
@click.argument("files", nargs=-1, metavar="FILE ...")
@click.option(
    "--style",
    type=click.Choice(["speech"]),
    default="speech",
    show_default=True,
    help="speech: as in LibriSpeech, with capital letters, no punctuation, and numbers as words",
)
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default="paragraphs",
    show_default=True,
    help="what sentences are cut from: the text between empty lines, or each line",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the file to write")
@click.option(
    "--valid-output",
    type=click.Path(path_type=Path),
    help="a second file, for the last 5 % of the sentences of each FILE, to validate or fit weights on",
)
@click.option("--encoding", default="utf-8", show_default=True, help="the encoding of the FILEs")
@errors_option
def command(
    files: tuple[str, ...],
    style: Any,
    layout: Any,
    output: Path | None,
    valid_output: Path | None,
    encoding: str,
    errors: Any,
) -> None:
    """Write the text of FILEs (- is standard input) as it is spoken, one sentence per line.

    The licences of Project Gutenberg, headings of wikis, and speakers' names in plays are left out; `<unk>` stays.
    For instance: elman normalise book.txt wiki.txt -o speech.txt --valid-output valid.txt
    """
    if not files:
        raise ConfigError("name one or more FILEs to normalise, or - for standard input")
    if output is None:
        raise ConfigError("name the file to write: -o TEXT")
    normalise(
        *map(text_argument, files),
        output=output,
        valid_output=valid_output,
        style=style,
        layout=layout,
        encoding=encoding,
        errors=errors,
    )
