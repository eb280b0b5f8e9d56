"""`elman score`: the probability of every line."""

import itertools
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from elman.cli.json_lines import to_json
from elman.cli.lines import read_groups
from elman.evaluation.scoring import LineScore, score_lines
from elman.evaluation.surprisal import token_scores
from elman.models.file import load
from elman.models.text_model import TextModel
from elman.threads import suited_threads


@click.command("score", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", default="-")
@click.option("--per-token", is_flag=True, help="a TSV of all tokens: surprisal in bits, rank, unknown flag")
@click.option("--json", "as_json", is_flag=True, help="a JSON object a line")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
def command(run: Path, file: str, per_token: bool, as_json: bool, encoding: str) -> None:
    """Score every line of FILE (default: standard input) with the model in RUN.

    Each line is read afresh: its first token is predicted from the end of a line (`<eos>`), and its own end
    is scored too. An unknown token is scored as `<unk>`; where the vocabulary has none, the line has
    probability 0 (-inf).
    """
    text_model = load(run)
    show = _show_tokens if per_token else _show_lines
    groups = read_groups(file, encoding)
    first = list(itertools.islice(groups, 1))  # what cannot be read is an error before there is any output
    if not as_json:
        click.echo("\t".join(TOKEN_COLUMNS if per_token else LINE_COLUMNS))
    impossible = done = 0
    for lines in itertools.chain(first, groups):
        impossible += show(text_model, lines, done, as_json)
        done += len(lines)
    if impossible:
        click.echo(
            f"elman: lines with tokens that are not in the vocabulary, which has no <unk>: {impossible:,}; their "
            "probability is 0; train with --min-count 2 or --max-vocab to give unknown words a probability",
            err=True,
        )


LINE_COLUMNS = ("ln_prob", "log10_prob", "perplexity", "tokens", "unknown", "text")
TOKEN_COLUMNS = ("line", "token", "surprisal_bits", "rank", "unknown")


def _show_lines(text_model: TextModel, lines: list[str], done: int, as_json: bool) -> int:
    """Print the scores of lines; return how many are impossible."""
    impossible = 0
    for line, score in zip(lines, score_lines(text_model, lines), strict=True):
        impossible += math.isinf(score.nll_nats)
        if as_json:
            click.echo(to_json(_as_dict(score) | {"text": line}))
        else:
            numbers = f"{score.ln_prob:.4f}\t{score.log10_prob:.4f}\t{score.perplexity:.4f}"
            click.echo(f"{numbers}\t{score.tokens}\t{score.unknown}\t{line}")
    return impossible


def _show_tokens(text_model: TextModel, lines: list[str], done: int, as_json: bool) -> int:
    """Print the tokens of lines, after so many others; return in how many lines one is impossible."""
    with suited_threads(0):
        return sum(_show_line(text_model, line, k, as_json) for k, line in enumerate(lines, done + 1))


def _show_line(text_model: TextModel, line: str, number: int, as_json: bool) -> bool:
    """Print a line's tokens; return whether one is impossible."""
    impossible = False
    for score in token_scores(text_model, line):
        impossible |= math.isinf(score.surprisal_bits)
        if as_json:
            click.echo(to_json({"line": number, **asdict(score)}))
        else:
            shown = _visible(score.token, text_model.unit == "byte")
            click.echo(f"{number}\t{shown}\t{score.surprisal_bits:.4f}\t{score.rank}\t{int(score.unknown)}")
    return impossible


def _visible(token: str, is_byte: bool) -> str:
    """Return a token that can stand in a table: what shows nothing, or is half a character, as its escape."""
    if token.isascii() or not is_byte:
        return token if token.isprintable() else token.encode("unicode_escape").decode()
    return f"\\x{ord(token):02x}"


def _as_dict(score: LineScore) -> dict[str, Any]:
    return {
        "ln_prob": score.ln_prob,
        "log10_prob": score.log10_prob,
        "perplexity": score.perplexity,
        "tokens": score.tokens,
        "unknown": score.unknown,
    }
