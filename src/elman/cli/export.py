"""`elman export`: a model, or its tokenizer, in the format of other programs."""

import importlib
from pathlib import Path
from typing import Any, NamedTuple

import click

from elman.errors import ConfigError
from elman.text_model import load


class Format(NamedTuple):
    """A format: the ending of its files, and the function ``write(path, text_model)`` that writes one."""

    suffix: str
    module: str
    write: str


FORMATS = {
    "arpa": Format(".arpa", "elman.formats.arpa_writer", "write_arpa"),
    "tokenizer": Format(".json", "elman.formats.vocabulary_file", "write_tokenizer"),
    "torch": Format(".safetensors", "elman.formats.torch_file", "write_torch"),
    "onnx": Format(".onnx", "elman.formats.onnx", "write_onnx"),
}


@click.command("export", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the file to write")
@click.option(
    "--to",
    "name",
    type=click.Choice(list(FORMATS)),
    help="the format  [default: the one that the file's name ends in; arpa]",
)
@click.option(
    "--form",
    type=click.Choice(["sequence", "step"]),
    help="of onnx: what the file reads at a time, T tokens a sequence or one  [default: sequence]",
)
def command(run: Path, output: Path | None, name: str | None, form: str | None) -> None:
    """Write the model in RUN (a run folder or a model file) for other programs.

    arpa: an n-gram model of words as text that other n-gram programs read (KenLM, SRILM); the end of a line,
    `<eos>`, is called `</s>` there. FILE.arpa

    tokenizer: the tokenizer of a model of subwords, for Hugging Face's tokenizers. FILE.json

    torch: the weights of a recurrent model by the names of PyTorch's nn.Embedding, nn.RNN, nn.LSTM or nn.GRU,
    and nn.Linear, with the vocabulary as metadata. FILE.safetensors

    onnx: a recurrent model that onnxruntime and others run without elman, with the vocabulary as metadata.
    FILE.onnx
    """
    name = name or _named(output)
    chosen = FORMATS[name]
    if form is not None and name != "onnx":
        raise ConfigError(f"--form is of --to onnx, and not of {name}; leave it out")
    options = {} if form is None else {"form": form}
    if output is None or output.suffix != chosen.suffix:
        raise ConfigError(f"name the file to write, ending in {chosen.suffix}: -o MODEL{chosen.suffix}")
    write: Any = getattr(importlib.import_module(chosen.module), chosen.write)
    write(output, load(run), **options)
    click.echo(output)


def _named(output: Path | None) -> str:
    """Return the format that a file's name ends in."""
    suffixes = {form.suffix: name for name, form in FORMATS.items()}
    return suffixes.get("" if output is None else output.suffix, "arpa")
