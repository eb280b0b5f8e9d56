"""`elman eval`: perplexity and other measures of a model on a text, with what defines them."""

from pathlib import Path
from typing import Any

import click

from elman.backend import Library
from elman.cli.inputs import text_argument
from elman.cli.options import cache_options, dynamic_options, errors_option
from elman.cli.output import prose_table
from elman.evaluation.adaptation import adapted
from elman.results import to_json
from elman.text_model import load


@click.command("eval", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("text")
@click.option("--split", default="test", show_default=True, help="the part of a named corpus")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
@errors_option
@click.option(
    "--batch-size",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="sequences that the text is cut into and read in parallel, each from a fresh state",
)
@click.option(
    "--backend",
    type=click.Choice(["numpy", "torch"]),
    default="numpy",
    show_default=True,
    help="the array library that computes",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="where it computes; cuda (a GPU) needs --backend torch",
)
@dynamic_options
@cache_options
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def command(
    run: Path,
    text: str,
    split: str,
    encoding: str,
    errors: Any,
    batch_size: int,
    backend: Library,
    device: str,
    as_json: bool,
    **adaptation: Any,
) -> None:
    """Measure the model in RUN (a run folder or a model file) on TEXT.

    TEXT is a file, a folder, a named corpus (its --split), or - for standard input. In a mixture, --neural-cache
    and --dynamic apply to each recurrent member separately.
    """
    model = adapted(load(run, backend, device), encoding, **adaptation)
    found = model.evaluate(
        text_argument(text), split, encoding=encoding, errors=errors, batch_size=batch_size
    )
    click.echo(to_json(found.to_dict()) if as_json else prose_table(found.text_rows()))
