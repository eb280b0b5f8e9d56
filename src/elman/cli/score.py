"""`elman score`: the probability of every line of a text."""

from pathlib import Path
from typing import Any

import click

from elman.cli.inputs import text_argument
from elman.errors import ConfigError
from elman.evaluation.scored_lines import visible
from elman.evaluation.srilm import srilm_report
from elman.results import to_json
from elman.text.sources import read_lines
from elman.text_model import load

TOKEN_COLUMNS = 5  # of a table of tokens; JSON has more


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
def command(run: Path, file: str, encoding: str, srilm: bool, as_json: bool, **options: Any) -> None:
    """Compute the probability of every line of FILE (default: standard input) under the model in RUN.

    Each line is read alone: its first token is predicted from the end of a line (`<eos>`), and its own end is
    scored, too. An unknown token is scored as `<unk>`; if the vocabulary has none, the line has probability 0
    (-inf). With --state carry, each line is read as the continuation of the one before.
    """
    if srilm:
        _check_srilm(as_json, **options)
        lines = read_lines(text_argument(file), encoding)
        for paragraph in srilm_report(load(run), lines, file):
            click.echo(paragraph)
        return
    model = load(run)
    scores = model.stream_scores(text_argument(file), encoding=encoding, **options)
    shown = scores.columns[:TOKEN_COLUMNS] if options["per_token"] else scores.columns
    if not as_json:
        click.echo("\t".join(shown))
    for row in scores:
        values = scores.row_dict(row)
        if as_json:
            click.echo(to_json(values))
            continue
        if options["per_token"]:
            values["token"] = visible(values["token"], model.unit == "byte")
        click.echo("\t".join(_cell(values[name]) for name in shown))


def _check_srilm(as_json: bool, **options: Any) -> None:
    """Raise ConfigError where another option is given that shapes the output."""
    given = {
        "--per-token": options["per_token"],
        "--top": options["top"] is not None,
        "--unit": options["unit"] is not None,
        "--normalize": options["normalize"] is not None,
        "--state carry": options["state"] == "carry",
        "--json": as_json,
    }
    for name, is_given in given.items():
        if is_given:
            raise ConfigError(f"--srilm and {name} cannot be used together; leave one out")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(int(value) if isinstance(value, bool) else value)
