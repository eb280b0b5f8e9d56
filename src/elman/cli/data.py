"""`elman data`: list the named corpora, or download one."""

import sys

import click

from elman.cli.output import prose_table
from elman.text.datasets import corpora, fetch


@click.command("data")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the named corpora with size, licence and place; with NAME, make sure that one is on this machine.

    A corpus is looked for in $ELMAN_DATA/NAME, then in the user's cache. If it is in neither, it is downloaded
    and its checksum verified.
    """
    if name is not None:
        for split, path in fetch(name, progress=sys.stderr.isatty()).items():
            click.echo(f"{split}\t{path}")
        return
    found = corpora()
    click.echo(prose_table(found.text_rows(), found.left))
