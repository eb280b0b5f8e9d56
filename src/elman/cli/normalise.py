"""`elman normalise`: text in a spelling that a model can share with a recogniser of speech."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import click

from elman.cli.inputs import read_lines
from elman.errors import ConfigError, RunError, TextError
from elman.files import atomic_write
from elman.text.spoken import LAYOUTS, spoken_lines

SHARE = 0.05


@click.command("normalise", no_args_is_help=True)
@click.argument("files", nargs=-1, metavar="FILE ...")
@click.option(
    "--style",
    type=click.Choice(["speech"]),
    default="speech",
    show_default=True,
    help="speech: the spelling of LibriSpeech, capital letters, no punctuation, numbers in words",
)
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default="paragraphs",
    show_default=True,
    help="what is read as one: what stands between empty lines, or each line",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the file to write")
@click.option(
    "--valid-output",
    type=click.Path(path_type=Path),
    help="a second file, for the last 5 % of the sentences of each FILE, to validate or to fit weights on",
)
@click.option("--encoding", default="utf-8", show_default=True, help="of the FILEs")
def command(
    files: tuple[str, ...],
    style: str,
    layout: str,
    output: Path | None,
    valid_output: Path | None,
    encoding: str,
) -> None:
    """Write the text of FILEs (- is standard input) a sentence a line, as it is spoken.

    Left out are the licences of Project Gutenberg, headings of wikis and who speaks in plays; `<unk>` stays. For
    instance: elman normalise book.txt wiki.txt -o speech.txt --valid-output valid.txt
    """
    if not files:
        raise ConfigError("name one or more FILEs to normalise, or - for standard input")
    if output is None:
        raise ConfigError("name the file to write: -o TEXT")
    if valid_output is not None and valid_output.absolute() == output.absolute():
        raise ConfigError("--valid-output must be another file than -o")
    told = []
    with contextlib.ExitStack() as stack:
        valid = None if valid_output is None else stack.enter_context(_writing(valid_output))
        text = stack.enter_context(_writing(output))
        for name in files:
            written, held = _write(spoken_lines(read_lines(name, encoding), layout), text, valid)
            if not written + held:
                raise TextError(f"{name} holds no sentence")
            about = f", {held:,} of them held out" if valid is not None else ""
            told.append(f"{name}: {written + held:,} sentences{about}")
    click.echo("\n".join(told), err=True)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[IO[Any]]:
    """Yield a file to write text to, which comes to be whole or not at all."""
    try:
        with atomic_write(path, "w", encoding="utf-8") as file:
            yield file
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def _write(lines: Iterable[str], text: IO[Any], valid: IO[Any] | None) -> tuple[int, int]:
    """Write lines, and the last of them to ``valid``; return how many went to each."""
    if valid is None:
        written = 0
        for line in lines:
            text.write(f"{line}\n")
            written += 1
        return written, 0
    whole = list(lines)
    cut = len(whole) - int(len(whole) * SHARE)
    text.writelines(f"{line}\n" for line in whole[:cut])
    valid.writelines(f"{line}\n" for line in whole[cut:])
    return cut, len(whole) - cut
