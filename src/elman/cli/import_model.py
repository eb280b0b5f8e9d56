"""`elman import`: a model from the format of other programs."""

from pathlib import Path
from typing import Any

import click

from elman.errors import ConfigError, RunError
from elman.formats.arpa_reader import is_arpa
from elman.formats.model_file import MODEL_NAME, save_model
from elman.models.tokenized import TokenizedModel
from elman.text_model import load
from elman.training.run_folder import FILES


@click.command("import", no_args_is_help=True)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the folder to make")
@click.option("--overwrite", is_flag=True, help="replace the run that is in the folder")
@click.option(
    "--vocab", type=click.Path(path_type=Path), help="of PyTorch: its tokens, one a line, or a JSON list"
)
@click.option("--level", type=click.Choice(["word", "char", "byte"]), help="what a token is  [default: word]")
@click.option("--lower", is_flag=True, help="the tokens are of a text without capitals")
@click.option("--unk", metavar="TOKEN", help="the token for unknown words, if not <unk>")
@click.option("--eos", metavar="TOKEN", help="the token that ends a line, if not <eos>")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="PART=NAME",
    help="what the model calls its part encoder, rnn or decoder, such as rnn=lstm",
)
@click.option("--tie-weights", is_flag=True, help="the decoder's matrix is the word vectors")
def command(file: Path, output: Path | None, overwrite: bool, **described: Any) -> None:
    """Keep the model of another program's FILE in the folder RUN (-o), as `elman train` would.

    FILE.arpa, FILE.arpa.gz: an n-gram model. Other commands read such a file as it is, too; the folder is read
    many times as fast.

    FILE.safetensors, FILE.pt: the state dict of PyTorch's nn.Embedding, nn.RNN, nn.LSTM or nn.GRU, and nn.Linear,
    with --vocab. A .pt file needs PyTorch, which reads its arrays and runs nothing in it.
    """
    if output is None:
        raise ConfigError("name the folder to make: -o RUN")
    made = [output / name for name in FILES if (output / name).exists()]
    if made and not overwrite:
        raise RunError(f"{output} holds a run already; replace it by --overwrite, or choose another folder")
    text_model = _read(file, described)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {output}: {error.strerror or error}") from error
    save_model(output / MODEL_NAME, text_model)
    for path in made:
        if path.name != MODEL_NAME:
            path.unlink()
    click.echo(output)


def _read(file: Path, described: dict[str, Any]) -> TokenizedModel:
    """Return the model of a file; ``described`` says what a state dict does not."""
    from elman.formats.torch_file import SUFFIXES, read_torch

    given = {name: value for name, value in described.items() if value not in (None, False, ())}
    if is_arpa(file):
        if given:
            option = next(iter(given)).replace("names", "name").replace("_", "-")
            raise ConfigError(f"--{option} is of a state dict, and not of an ARPA file; leave it out")
        return load(file)
    if file.suffix not in SUFFIXES:
        raise ConfigError(
            f"{file} is of no kind that can be imported: "
            f"name a file ending in {', '.join(('.arpa', '.arpa.gz', *SUFFIXES))}"
        )
    if "names" in given:
        given["names"] = dict(map(_part_and_name, given["names"]))
    return read_torch(file, **given)


def _part_and_name(text: str) -> tuple[str, str]:
    part, equals, name = text.partition("=")
    if not equals:
        raise ConfigError(f"--name takes PART=NAME, such as rnn=lstm, got {text!r}")
    return part, name
