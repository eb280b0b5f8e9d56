"""`elman surprisal`: a table with the surprisal of every word of a text."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import click

from elman.cli.inputs import text_argument
from elman.cli.score_tables import warn_of_zero_probability
from elman.evaluation.surprisal import TokenReader, WordScore, word_scores
from elman.files import check_output_file, open_output
from elman.results import to_json
from elman.text.sources import read_lines
from elman.text_model import TextModel, load

COLUMNS = (
    *("sentence", "position", "word", "surprisal_bits", "entropy_bits", "rank", "probability", "unknown"),
    *("start", "end"),
)
Write = Callable[[str], object]


@click.command("surprisal", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", default="-")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="the file to write  [default: standard output]"
)
@click.option(
    "--context",
    type=click.Choice(["sentence", "document"]),
    default="sentence",
    show_default=True,
    help="what a word is predicted from: its own line, or also all lines before it",
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object per word")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
def command(run: Path, file: str, output: Path | None, context: str, as_json: bool, encoding: str) -> None:
    """Compute the surprisal of every word of FILE (default: standard input) under the model in RUN.

    Each line is a sentence. Words are separated by whitespace; the end of a line follows as `<eos>`. The columns of
    the TSV: sentence (line number), position, word, surprisal_bits (-log2 P, summed over the word's tokens),
    entropy_bits and rank (before and of its first token), probability, unknown, and the word's place in its line:
    start, end.
    """
    check_output_file(output)
    text_model = load(run)
    lines = read_lines(text_argument(file), encoding)
    with _open_table(output) as write:
        if not as_json:
            write("\t".join(COLUMNS) + "\n")
        zero = _write_words(write, text_model, lines, context == "document", as_json)
    warn_of_zero_probability(zero)


def _write_words(
    write: Write, text_model: TextModel, lines: Iterator[str], carry: bool, as_json: bool
) -> int:
    """Write the words of all lines; return how many lines have probability 0."""
    reader = TokenReader(text_model) if carry else None
    zero = 0
    for number, line in enumerate(lines, 1):
        possible = True
        for score in word_scores(text_model, line, reader):
            possible &= math.isfinite(score.surprisal_bits)
            write(_json(number, score) if as_json else _row(number, score))
        zero += not possible
    return zero


def _row(number: int, score: WordScore) -> str:
    numbers = f"{score.surprisal_bits:.6f}\t{score.entropy_bits:.6f}\t{score.rank}\t{score.probability:.6g}"
    place = f"{score.start}\t{score.end}"
    return f"{number}\t{score.position}\t{score.word}\t{numbers}\t{int(score.unknown)}\t{place}\n"


def _json(number: int, score: WordScore) -> str:
    return to_json({"sentence": number, **asdict(score), "probability": score.probability}) + "\n"


@contextlib.contextmanager
def _open_table(output: Path | None) -> Iterator[Write]:
    """Yield a function that writes text to a file, or to standard output at once."""
    if output is None:
        yield lambda text: click.echo(text, nl=False)
        return
    with open_output(output) as file:
        yield file.write
