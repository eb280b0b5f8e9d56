"""`elman mix`: combine several models into one, with weights fitted to a text."""

from pathlib import Path
from typing import Any

import click

from elman.api.mix import mix
from elman.cli.options import dynamic_options, errors_option, neural_cache_options
from elman.errors import ConfigError


@click.command("mix", no_args_is_help=True)
@click.argument("models", nargs=-1, metavar="RUN RUN ...", type=click.Path(path_type=Path))
@click.option("--tune", help="text to fit the weights to: a file, a folder, or a named corpus")
@click.option("--split", default="valid", show_default=True, help="the part of a named corpus")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
@errors_option
@dynamic_options
@neural_cache_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the run folder to create")
@click.option("--overwrite", is_flag=True, help="replace the run that is in the folder")
def command(
    models: tuple[Path, ...],
    tune: str | None,
    split: str,
    encoding: str,
    errors: Any,
    output: Path | None,
    overwrite: bool,
    **adaptation: Any,
) -> None:
    """Mix the models in several RUNs into one, and save it in the folder MIX (-o).

    The mixture's probabilities are weighted means, P = λ1 P1 + λ2 P2 + ..., with the weights that give the text of
    --tune the highest probability. The models may be of any kind, but must have the same vocabulary,
    in any order.
    For instance: elman mix lstm n-gram --tune valid.txt -o MIX

    With --dynamic or --neural-cache the weights are fitted to the recurrent models as they adapt. MIX holds the
    models as trained, and the weights: give the same options to `elman eval MIX`.
    """
    if tune is None:
        raise ConfigError(
            "name a text to fit the weights to, which no model was trained on: --tune valid.txt"
        )
    if output is None:
        raise ConfigError("name the run folder to create: -o MIX")
    mixed = mix(
        models, tune, output, split, encoding=encoding, errors=errors, overwrite=overwrite, **adaptation
    )
    click.echo("\n".join(map("\t".join, mixed.text_rows())))
