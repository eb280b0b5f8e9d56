"""`elman export`: write a model, or its tokenizer, in the format of another program."""

from pathlib import Path

import click

from elman.formats.export import FORMATS, Form, FormatName
from elman.text_model import load


@click.command("export", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "path", required=True, type=click.Path(path_type=Path), help="the file to write"
)
@click.option(
    "--to",
    type=click.Choice(list(FORMATS)),
    help="the format  [default: from the suffix of the file; otherwise arpa]",
)
@click.option(
    "--form",
    type=click.Choice(["sequence", "step"]),
    help="for onnx: whether the file reads sequences of T tokens or a single token  [default: sequence]",
)
def command(run: Path, path: Path, to: FormatName | None, form: Form | None) -> None:
    """Export the model in RUN (a run folder or a model file) for other programs.

    arpa (FILE.arpa, or compressed: .arpa.gz, .arpa.bz2, .arpa.xz): an n-gram model of words, for KenLM, SRILM and
    others. The end of a line, `<eos>`, is called `</s>` there.

    tokenizer (FILE.json): the tokenizer of a subword model, for Hugging Face's tokenizers.

    torch (FILE.safetensors): the weights of a recurrent model, under the names of PyTorch's nn.Embedding, nn.RNN,
    nn.LSTM or nn.GRU, and nn.Linear, with the vocabulary as metadata.

    onnx (FILE.onnx): a recurrent model that onnxruntime and others run without elman, with the vocabulary as
    metadata.
    """
    load(run).export(path, to, form)
    click.echo(path)
