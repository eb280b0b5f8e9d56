"""`elman export`: write a model, or its tokenizer, in the format of another program."""

import importlib
from pathlib import Path
from typing import Any, NamedTuple

import click

from elman.errors import ConfigError
from elman.text_model import load


class Format(NamedTuple):
    """A file format: the suffix of its files, and the function ``write(path, text_model)`` that writes one."""

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
    help="the format  [default: from the suffix of the file; otherwise arpa]",
)
@click.option(
    "--form",
    type=click.Choice(["sequence", "step"]),
    help="for onnx: whether the file reads sequences of T tokens or a single token  [default: sequence]",
)
def command(run: Path, output: Path | None, name: str | None, form: str | None) -> None:
    """Export the model in RUN (a run folder or a model file) for other programs.

    arpa (FILE.arpa): an n-gram model of words, for KenLM, SRILM and others. The end of a line, `<eos>`, is called
    `</s>` there.

    tokenizer (FILE.json): the tokenizer of a subword model, for Hugging Face's tokenizers.

    torch (FILE.safetensors): the weights of a recurrent model, under the names of PyTorch's nn.Embedding, nn.RNN,
    nn.LSTM or nn.GRU, and nn.Linear, with the vocabulary as metadata.

    onnx (FILE.onnx): a recurrent model that onnxruntime and others run without elman, with the vocabulary as
    metadata.
    """
    name = name or _format_of(output)
    chosen = FORMATS[name]
    if form is not None and name != "onnx":
        raise ConfigError(f"--form applies only to --to onnx, not to {name}; leave it out")
    options = {} if form is None else {"form": form}
    if output is None or output.suffix != chosen.suffix:
        raise ConfigError(f"name the file to write, with the suffix {chosen.suffix}: -o MODEL{chosen.suffix}")
    write: Any = getattr(importlib.import_module(chosen.module), chosen.write)
    write(output, load(run), **options)
    click.echo(output)


def _format_of(output: Path | None) -> str:
    """Return the format that a file's suffix stands for; arpa if none."""
    suffixes = {form.suffix: name for name, form in FORMATS.items()}
    return suffixes.get("" if output is None else output.suffix, "arpa")
