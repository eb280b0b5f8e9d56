"""`elman surprisal`: a table with the surprisal of every word of a text."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from elman.cli.inputs import text_argument
from elman.cli.options import errors_option, spelling_options
from elman.cli.output import write
from elman.evaluation.sentences import read_sentences
from elman.evaluation.surprisal_table import SurprisalStream, row_dict, tsv_line
from elman.files import check_output_file, open_output
from elman.results import to_json
from elman.text_model import load


@click.command("surprisal", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", default="-")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="the file to write  [default: standard output]"
)
@click.option(
    "--column",
    metavar="NAME",
    help="FILE is a table (CSV, TSV if its first line has a tab, JSON Lines if it has a JSON object), and its column "
    "NAME holds the sentences; the other columns are repeated in each row",
)
@click.option(
    "--context",
    type=click.Choice(["sentence", "document"]),
    default="sentence",
    show_default=True,
    help="what a word is predicted from: its own line, or also all lines before it",
)
@click.option(
    "--per",
    type=click.Choice(["word", "token"]),
    default="word",
    show_default=True,
    help="print a row for each word between spaces, or for each token",
)
@spelling_options
@click.option("--json", "as_json", is_flag=True, help="print one JSON object per row")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
@errors_option
def command(
    run: Path,
    file: str,
    output: Path | None,
    column: str | None,
    as_json: bool,
    encoding: str,
    errors: Any,
    **how: Any,
) -> None:
    """Compute the surprisal of every word of FILE (default: standard input) under the model in RUN.

    Each line is a sentence. Words are separated by whitespace; the end of a line follows as `<eos>`. The columns of
    the TSV: sentence (line number), position, word, surprisal_bits (-log2 P, summed over the word's tokens),
    entropy_bits and rank (before and of its first token), probability, unknown, and the word's place in its line:
    start, end.

    A model of words reads sentences as its vocabulary spells words (--case, --punctuation); the surprisal of `table.`
    is then the sum of those of `table` and `.`, and start and end are places in the line as it is.
    """
    check_output_file(output)
    model = load(run)
    text = text_argument(file)
    sentences = read_sentences(text, column, encoding, errors, model.tokenizer, str_is_path=True)
    scores = SurprisalStream(model, sentences, **how)
    with nullcontext() if output is None else open_output(output) as table:
        if not as_json:
            write(tsv_line(scores.columns), table)
        for score in scores:
            values = row_dict(score)
            write(to_json(values) + "\n" if as_json else tsv_line(values), table)
