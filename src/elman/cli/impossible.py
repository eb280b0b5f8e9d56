"""The note about lines that a model gives probability 0."""

import click


def warn(lines: int) -> None:
    """Tell, on standard error, of so many lines with tokens that have no probability."""
    if lines:
        click.echo(
            f"elman: lines with tokens that are not in the vocabulary, which has no <unk>: {lines:,}; their "
            "probability is 0; train with --min-count 2 or --max-vocab to give unknown words a probability",
            err=True,
        )
