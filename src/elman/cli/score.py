"""`elman score`: the probability of every line of a text."""

from pathlib import Path
from typing import Any

import click

from elman.api import ray
from elman.cli.inputs import STANDARD_INPUT, text_argument
from elman.cli.options import errors_option
from elman.cli.output import write_line
from elman.errors import ConfigError
from elman.evaluation.scored_lines import visible
from elman.evaluation.sentences import read_sentences
from elman.evaluation.srilm import srilm_report
from elman.results import to_json
from elman.text_model import load

SPACES = str.maketrans("\t\n\r", "   ")
TOKEN_COLUMNS = 5  # of a table of tokens; JSON has more


@click.command("score", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", default="-")
@click.option(
    "--column",
    metavar="NAME",
    help="FILE is a table (CSV, TSV or JSON Lines), and its column NAME holds the lines; the other columns follow in "
    "each row",
)
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
@click.option(
    "--ray",
    "address",
    metavar="ADDRESS",
    help="score on a cluster of Ray: its address, `auto` for the one that runs here, or `local` to start one; FILE "
    "must be readable from every node, and may be a Parquet file",
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object per line")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
@errors_option
def command(
    run: Path,
    file: str,
    column: str | None,
    encoding: str,
    errors: Any,
    srilm: bool,
    address: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compute the probability of every line of FILE (default: standard input) under the model in RUN.

    Each line is read alone: its first token is predicted from the end of a line (`<eos>`), and its own end is
    scored, too. An unknown token is scored as `<unk>`; if the vocabulary has none, the line has probability 0
    (-inf). With --state carry, each line is read as the continuation of the one before.

    A model of bytes reads the bytes of FILE as they are, cut after each newline; what is not printable appears as an
    escape in the column `text`.
    """
    if address is not None:
        _check_ray(file, srilm, **options)
        how = {name: options[name] for name in ("unit", "normalize")}
        _score_on_cluster(address, run, file, column, as_json, encoding, errors, how)
        return
    if srilm:
        _check_srilm(as_json, **options)
        model = load(run)
        text = text_argument(file)
        sentences = read_sentences(text, column, encoding, errors, model.tokenizer, str_is_path=True)
        for paragraph in srilm_report(model, (sentence.text for sentence in sentences), file):
            write_line(paragraph)
        return
    model = load(run)
    scores = model.stream_scores(
        text_argument(file), column=column, encoding=encoding, errors=errors, **options
    )
    shown = scores.layout.names
    if options["per_token"]:
        shown = (*shown[:TOKEN_COLUMNS], *scores.kept)
    in_cell = {"text", *scores.kept} if column is not None else set(scores.kept)  # others may hold tabs
    if not as_json:
        write_line("\t".join(shown))
    for row in scores:
        values = scores.layout.row_dict(row)
        if as_json:
            write_line(to_json(values))
            continue
        if options["per_token"]:
            values["token"] = visible(values["token"], model.unit == "byte")
        cells = {name: _cell(values[name]) for name in shown}
        write_line(
            "\t".join(cell.translate(SPACES) if name in in_cell else cell for name, cell in cells.items())
        )


def _check_ray(file: str, srilm: bool, **options: Any) -> None:
    """Raise ConfigError where another option is given that a cluster cannot serve."""
    given = {
        "--srilm": srilm,
        "--per-token": options["per_token"],
        "--top": options["top"] is not None,
        "--state carry": options["state"] == "carry",
    }
    for name, is_given in given.items():
        if is_given:
            raise ConfigError(f"--ray and {name} cannot be used together; leave one out")
    if file == STANDARD_INPUT:
        raise ConfigError("every node reads the text by itself; name a FILE instead of standard input")


def _score_on_cluster(
    address: str,
    run: Path,
    file: str,
    column: str | None,
    as_json: bool,
    encoding: str,
    errors: str,
    options: dict[str, Any],
) -> None:
    with ray.connected(address):
        lines = ray.read_lines(file, column=column, encoding=encoding, errors=errors)
        for number, row in enumerate(ray.score(lines, run, **options).iter_rows()):
            values = {**{name: value for name, value in row.items() if name != "text"}, "text": row["text"]}
            if as_json:
                write_line(to_json(values))
                continue
            if number == 0:
                write_line("\t".join(values))
            cells = {name: _cell(value) for name, value in values.items()}
            write_line(
                "\t".join(cell.translate(SPACES) if name == "text" else cell for name, cell in cells.items())
            )


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
