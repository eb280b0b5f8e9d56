"""`elman data`: the named corpora."""

import sys

import click

from elman.text import datasets


@click.command("data")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the named corpora: size, licence, and where each is; with NAME, fetch that one.

    A corpus is looked for in $ELMAN_DATA/NAME, then in the user's cache; then it is downloaded and its
    checksum compared.
    """
    if name is not None:
        for split, path in datasets.fetch(name, progress=sys.stderr.isatty()).items():
            click.echo(f"{split}\t{path}")
        return
    rows = [("name", "size", "licence", "where", "what")]
    for known in datasets.datasets():
        found = datasets.locate(known.name)
        where = "not here yet: elman data " + known.name
        if found:
            where = str(next(iter(found.values())).parent)
        rows.append((known.name, f"{known.size / 1e6:.1f} MB", known.licence, where, known.description))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    for row in rows:
        click.echo("  ".join([*(f"{cell:<{w}}" for cell, w in zip(row[:4], widths, strict=True)), row[4]]))
