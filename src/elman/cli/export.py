"""`elman export`: a model in the format of other programs."""

from pathlib import Path

import click

from elman.errors import ConfigError
from elman.models.file import load


@click.command("export", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the file to write: FILE.arpa")
def command(run: Path, output: Path | None) -> None:
    """Write the n-gram model in RUN (a run folder or a model file) as an ARPA file.

    An ARPA file is text that other n-gram programs read (KenLM, SRILM). Only a model of words can be
    exported; the end of a line, `<eos>`, is called `</s>` there.
    """
    from elman.interop.arpa_writer import write_arpa

    if output is None or output.suffix != ".arpa":
        raise ConfigError("name the file to write, ending in .arpa: -o MODEL.arpa")
    write_arpa(output, load(run))
    click.echo(output)
