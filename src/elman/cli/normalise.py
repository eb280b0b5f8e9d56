"""`elman normalise`: rewrite text as it is spoken, for models that rescore speech recognition."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import click

from elman.cli.inputs import text_argument
from elman.errors import ConfigError, TextError
from elman.files import open_output
from elman.text.sources import read_lines, text_name
from elman.text.spoken import LAYOUTS, spoken_lines

HELD_OUT = 0.05  # fraction of the sentences of each file


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
def command(
    files: tuple[str, ...],
    style: str,
    layout: str,
    output: Path | None,
    valid_output: Path | None,
    encoding: str,
) -> None:
    """Write the text of FILEs (- is standard input) as it is spoken, one sentence per line.

    The licences of Project Gutenberg, headings of wikis, and speakers' names in plays are left out; `<unk>` stays.
    For instance: elman normalise book.txt wiki.txt -o speech.txt --valid-output valid.txt
    """
    if not files:
        raise ConfigError("name one or more FILEs to normalise, or - for standard input")
    if output is None:
        raise ConfigError("name the file to write: -o TEXT")
    if valid_output is not None and valid_output.absolute() == output.absolute():
        raise ConfigError("--valid-output must be a different file from -o")
    reports = []
    with contextlib.ExitStack() as stack:
        valid = None if valid_output is None else stack.enter_context(open_output(valid_output))
        text = stack.enter_context(open_output(output))
        for source in map(text_argument, files):
            name = text_name(source)
            written, held_out = _write(spoken_lines(read_lines(source, encoding), layout), text, valid)
            if not written + held_out:
                raise TextError(f"{name} contains no sentence")
            about = f", {held_out:,} of them held out" if valid is not None else ""
            reports.append(f"{name}: {written + held_out:,} sentences{about}")
    click.echo("\n".join(reports), err=True)


def _write(lines: Iterable[str], text: IO[Any], valid: IO[Any] | None) -> tuple[int, int]:
    """Write lines to ``text``, and the last of them to ``valid``; return how many went to each."""
    if valid is None:
        written = 0
        for line in lines:
            text.write(f"{line}\n")
            written += 1
        return written, 0
    whole = list(lines)
    cut = len(whole) - int(len(whole) * HELD_OUT)
    text.writelines(f"{line}\n" for line in whole[:cut])
    valid.writelines(f"{line}\n" for line in whole[cut:])
    return cut, len(whole) - cut
