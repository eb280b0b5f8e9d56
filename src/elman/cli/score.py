"""`elman score`: the probability of every line."""

import itertools
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import click

from elman.cli.inputs import read_groups
from elman.cli.score_tables import LineTable, SrilmTable, TokenTable, TopTable, warn_of_impossible
from elman.errors import ConfigError
from elman.evaluation.line_scores import CarriedLines, Measure, Per, Unit, score_lines
from elman.text_model import TextModel, load


class Table(Protocol):
    """A way to print scores: a beginning, lines in groups, as they come, and an end."""

    def begin(self) -> None:
        """Print what comes first."""
        ...

    def lines(self, lines: list[str]) -> int:
        """Print some lines; return how many are impossible."""
        ...

    def end(self) -> None:
        """Print what comes last."""
        ...


@click.command("score", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", default="-")
@click.option("--per-token", is_flag=True, help="a TSV of all tokens: surprisal, rank, unknown flag")
@click.option(
    "--top", type=click.IntRange(1), help="only so many lines, the oddest first, with their numbers"
)
@click.option("--srilm", is_flag=True, help="the layout of SRILM's `ngram -ppl FILE -debug 2`")
@click.option(
    "--unit",
    type=click.Choice(["nats", "bits", "log10"]),
    help="of the logarithm  [default: nats and log10; of --top nats, of --per-token bits]",
)
@click.option(
    "--normalize",
    "per",
    type=click.Choice(["none", "token", "char"]),
    help="divide the logarithm by the line's tokens or characters  [default: none; of --top token]",
)
@click.option(
    "--state",
    type=click.Choice(["reset", "carry"]),
    default="reset",
    show_default=True,
    help="read every line afresh, or go on from the line before",
)
@click.option("--json", "as_json", is_flag=True, help="a JSON object a line")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
def command(run: Path, file: str, encoding: str, **options: Any) -> None:
    """Score every line of FILE (default: standard input) with the model in RUN.

    Each line is read afresh: its first token is predicted from the end of a line (`<eos>`), and its own end
    is scored too. An unknown token is scored as `<unk>`; where the vocabulary has none, the line has
    probability 0 (-inf). With --state carry, what was read of a line is the past of the next.
    """
    _refuse_conflicts(options)
    table = _table(load(run), file, **options)
    groups = read_groups(file, encoding)
    first = list(itertools.islice(groups, 1))  # what cannot be read is an error before there is any output
    zero = 0
    table.begin()
    try:
        for lines in itertools.chain(first, groups):
            zero += table.lines(lines)
    finally:
        table.end()
    warn_of_impossible(zero)


ALONE = {  # a way to show scores: what it does not go with
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
    for way, others in ALONE.items():
        for other in others:
            if given[way] and given[other]:
                raise ConfigError(f"{way} and {other} do not go together; leave one out")


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
    """Return the way to print that the options ask for."""
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
