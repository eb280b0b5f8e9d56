"""`elman surprisal`: the surprisal of every word of a text."""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import click

from elman.cli.inputs import read_groups
from elman.cli.score_tables import warn_of_impossible
from elman.cli.tables import to_json
from elman.errors import RunError
from elman.evaluation.surprisal import TokenReader, WordScore, word_scores
from elman.files import atomic_write
from elman.text_model import TextModel, load
from elman.workers import limited_threads

COLUMNS = (
    *("sentence", "position", "word", "surprisal_bits", "entropy_bits", "rank", "probability", "unknown"),
    *("start", "end"),
)
Write = Callable[[str], object]


@click.command("surprisal", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", default="-")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="the table to write  [default: standard output]"
)
@click.option(
    "--context",
    type=click.Choice(["sentence", "document"]),
    default="sentence",
    show_default=True,
    help="what a word is predicted from: its own line, or all lines before it too",
)
@click.option("--json", "as_json", is_flag=True, help="a JSON object a word")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
def command(run: Path, file: str, output: Path | None, context: str, as_json: bool, encoding: str) -> None:
    """Give the surprisal of every word of FILE (default: standard input), a sentence a line, by the model in RUN.

    A word is what stands between blanks; the end of a line follows as `<eos>`. The columns of the TSV: sentence
    (the line's number), position, word, surprisal_bits (-log2 P, summed over the word's tokens), entropy_bits
    and rank (before and of its first token), probability, unknown, and where it stands in its line: start, end.
    """
    _check_output(output)
    text_model = load(run)
    groups = read_groups(file, encoding)
    first = list(itertools.islice(groups, 1))  # what cannot be read is an error before there is any output
    lines = itertools.chain.from_iterable(itertools.chain(first, groups))
    with _opened(output) as write, limited_threads(0):
        if not as_json:
            write("\t".join(COLUMNS) + "\n")
        zero = _write_words(write, text_model, lines, context == "document", as_json)
    warn_of_impossible(zero)


def _write_words(
    write: Write, text_model: TextModel, lines: Iterator[str], carry: bool, as_json: bool
) -> int:
    """Write the words of all lines; return how many lines are impossible."""
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
def _opened(output: Path | None) -> Iterator[Write]:
    """Yield what writes to a file that is whole or not there, or to standard output as it comes."""
    if output is None:
        yield lambda text: click.echo(text, nl=False)
        return
    with atomic_write(output, "w", encoding="utf-8", newline="\n") as file:
        yield file.write


def _check_output(output: Path | None) -> None:
    """Refuse at once what could not be written in the end."""
    if output is None:
        return
    if not output.absolute().parent.is_dir():
        raise RunError(f"there is no folder {output.parent} to write {output.name} in")
    if output.is_dir():
        raise RunError(f"{output} is a folder; name a file")
