"""`elman import`: a model from the format of other programs."""

from pathlib import Path

import click

from elman.errors import ConfigError, RunError
from elman.interop.arpa_reader import read_arpa
from elman.models.file import MODEL_NAME, save_model
from elman.training.run_folder import FILES


@click.command("import", no_args_is_help=True)
@click.argument("arpa", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the folder to make")
@click.option("--overwrite", is_flag=True, help="replace the run that is in the folder")
def command(arpa: Path, output: Path | None, overwrite: bool) -> None:
    """Keep the n-gram model of an ARPA file in the folder RUN (-o), as `elman train` would.

    Other commands read an ARPA file as it is, too, where its name ends in .arpa or .arpa.gz; the folder is
    read many times as fast.
    """
    if output is None:
        raise ConfigError("name the folder to make: -o RUN")
    made = [output / name for name in FILES if (output / name).exists()]
    if made and not overwrite:
        raise RunError(f"{output} holds a run already; replace it by --overwrite, or choose another folder")
    text_model = read_arpa(arpa)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {output}: {error.strerror or error}") from error
    save_model(output / MODEL_NAME, text_model)
    for path in made:
        if path.name != MODEL_NAME:
            path.unlink()
    click.echo(output)
