"""`elman import`: read a model in the format of another program, and save it as a run."""

from pathlib import Path
from typing import Any

import click

from elman.api.import_model import import_model
from elman.errors import ConfigError
from elman.formats.run_files import check_run_folder


@click.command("import", no_args_is_help=True)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="the run folder to create"
)
@click.option("--overwrite", is_flag=True, help="replace the run that is in the folder")
@click.option(
    "--vocab",
    type=click.Path(path_type=Path),
    help="file of tokens for a state dict: one per line, maybe with its count or id; or JSON, a list or an object; or "
    "RWKV's world vocabulary or tokenizer.json",
)
@click.option(
    "--level", type=click.Choice(["word", "char", "jamo", "byte"]), help="what a token is  [default: word]"
)
@click.option("--lower", is_flag=True, help="the tokens come from lower-cased text")
@click.option("--unk", metavar="TOKEN", help="the token for unknown words  [default: <unk>]")
@click.option("--eos", metavar="TOKEN", help="the token for the end of a line  [default: <eos>]")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="PART=NAME",
    help="name of a part (encoder, rnn, decoder) in the state dict, such as rnn=lstm; can be repeated",
)
@click.option("--tie-weights", is_flag=True, help="the decoder shares its matrix with the word vectors")
@click.option(
    "--nonlinearity",
    type=click.Choice(["tanh", "relu"]),
    help="of an nn.RNN, which the file does not record; relu is refused  [default: tanh]",
)
@click.option("--encoding", default="utf-8", show_default=True, help="of an ARPA file, or of --vocab")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="of the matrices of an RWKV or Mamba model; bfloat16 takes half of the memory and cannot be trained",
)
def command(file: Path, output: Path, overwrite: bool, names: tuple[str, ...], **described: Any) -> None:
    """Import the model in FILE, from another program, into the run folder RUN (-o).

    A folder with config.json, model.safetensors (or its parts, with an index) and tokenizer.json: a published model, as
    Hugging Face's transformers writes it, of type mamba or mamba2. Nothing but its tokenizer needs another library.

    An ARPA file, whatever its name, compressed or not: an n-gram model. Other commands read such a file directly, too,
    but load the run folder many times faster.

    FILE.safetensors, FILE.pt (.pth, .bin, .ckpt, .pth.tar): the state dict of PyTorch's nn.Embedding, nn.RNN, nn.LSTM
    or nn.GRU, and nn.Linear, with --vocab. A checkpoint may hold it under state_dict, model_state_dict or model.
    PyTorch is not needed, and no code in the file is run.

    A checkpoint of RWKV-4 or RWKV-7, as .pth or .safetensors, with RWKV's world vocabulary (--vocab, or from the
    installed package rwkv) or, for a model trained on the Pile, its tokenizer.json (--vocab).
    """
    check_run_folder(output, overwrite)  # before a long time is spent on reading
    import_model(file, names=tuple(map(_part_and_name, names)), **described).save(output, overwrite)
    click.echo(output)


def _part_and_name(text: str) -> tuple[str, str]:
    part, equals, name = text.partition("=")
    if not equals:
        raise ConfigError(f"--name must be PART=NAME, such as rnn=lstm, got {text!r}")
    return part, name
