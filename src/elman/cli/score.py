"""`elman score`: the probability of every line of a text."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import click

from elman.cli.inputs import text_argument
from elman.cli.score_tables import LineTable, SrilmTable, TokenTable, TopTable, warn_of_zero_probability
from elman.errors import ConfigError
from elman.evaluation.line_scores import CarriedLines, Measure, Per, Unit, score_lines
from elman.text.sources import read_line_groups
from elman.text_model import TextModel, load


class Table(Protocol):
    """A way to print scores: a header, lines in groups as they arrive, and an end."""

    def begin(self) -> None:
        """Print the header."""
        ...

    def lines(self, lines: list[str]) -> int:
        """Print the scores of some lines; return how many have probability 0."""
        ...

    def end(self) -> None:
        """Print what follows the last line."""
        ...


@click.command("score", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", default="-")
@click.option("--per-token", is_flag=True, help="print one row per token: surprisal, rank, unknown flag")
@click.option(
    "--top",
    type=click.IntRange(1),
    help="print only this many lines, the least probable first, and their numbers",
)
@click.option("--srilm", is_flag=True, help="print in the format of SRILM's `ngram -ppl FILE -debug 2`")
@click.option(
    "--unit",
    type=click.Choice(["nats", "bits", "log10"]),
    help="unit of log probabilities  [default: nats and log10; with --top nats, with --per-token bits]",
)
@click.option(
    "--normalize",
    "per",
    type=click.Choice(["none", "token", "char"]),
    help="divide log probabilities by the line's tokens or characters  [default: none; with --top token]",
)
@click.option(
    "--state",
    type=click.Choice(["reset", "carry"]),
    default="reset",
    show_default=True,
    help="reset the state at every line, or carry it on from the line before",
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object per line")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
def command(run: Path, file: str, encoding: str, **options: Any) -> None:
    """Compute the probability of every line of FILE (default: standard input) under the model in RUN.

    Each line is read alone: its first token is predicted from the end of a line (`<eos>`), and its own end is
    scored, too. An unknown token is scored as `<unk>`; if the vocabulary has none, the line has probability 0
    (-inf). With --state carry, each line is read as the continuation of the one before.
    """
    _refuse_conflicts(options)
    table = _table(load(run), file, **options)
    groups = read_line_groups(text_argument(file), encoding)
    zero = 0
    table.begin()
    try:
        for lines in groups:
            zero += table.lines(lines)
    finally:
        table.end()
    warn_of_zero_probability(zero)


CONFLICTS = {  # option: those that it cannot be used with
    "--srilm": ("--per-token", "--top", "--unit", "--normalize", "--state carry", "--json"),
    "--per-token": ("--top", "--normalize"),
}


def _refuse_conflicts(options: Mapping[str, Any]) -> None:
    given = {
        "--srilm": options["srilm"],
        "--per-token": options["per_token"],
        "--top": options["top"] is not None,
        "--unit": options["unit"] is not None,
        "--normalize": options["per"] is not None,
        "--state carry": options["state"] == "carry",
        "--json": options["as_json"],
    }
    for option, others in CONFLICTS.items():
        for other in others:
            if given[option] and given[other]:
                raise ConfigError(f"{option} and {other} cannot be used together; leave one out")


def _table(
    text_model: TextModel,
    file: str,
    per_token: bool,
    top: int | None,
    srilm: bool,
    unit: Unit | None,
    per: Per | None,
    state: str,
    as_json: bool,
) -> Table:
    """Return the table that the options select."""
    if srilm:
        return SrilmTable(text_model, file)
    carry = state == "carry"
    if per_token:
        return TokenTable(text_model, carry, unit or "bits", as_json)
    scorer = CarriedLines(text_model).score if carry else partial(score_lines, text_model)
    if top is not None:
        return TopTable(text_model, scorer, Measure(unit or "nats", per or "token"), top, as_json)
    measure = Measure(unit or "nats", per or "none") if unit or per else None
    return LineTable(text_model, scorer, measure, as_json)
