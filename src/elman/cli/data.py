"""`elman data`: list the named corpora, or download one."""

import sys

import click

from elman.results import format_table
from elman.text import datasets


@click.command("data")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the named corpora with size, licence and place; with NAME, make sure that one is on this machine.

    A corpus is looked for in $ELMAN_DATA/NAME, then in the user's cache. If it is in neither, it is downloaded
    and its checksum verified.
    """
    if name is not None:
        for split, path in datasets.fetch(name, progress=sys.stderr.isatty()).items():
            click.echo(f"{split}\t{path}")
        return
    rows = [("name", "size", "licence", "where", "what")]
    for known in datasets.datasets():
        found = datasets.locate(known.name)
        where = str(next(iter(found.values())).parent) if found else f"not here yet: elman data {known.name}"
        rows.append((known.name, f"{known.size / 1e6:.1f} MB", known.licence, where, known.description))
    click.echo(format_table(rows, left=5))
