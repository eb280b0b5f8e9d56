"""`elman compare`: several models on one text, ranked where their numbers can be compared."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from elman.api.compare import compare
from elman.cli.inputs import text_argument
from elman.cli.options import errors_option
from elman.cli.output import prose_table, table
from elman.evaluation.comparison_table import Comparison
from elman.results import to_json


@click.command("compare", no_args_is_help=True)
@click.argument("models", nargs=-1, metavar="RUN RUN...", type=click.Path(path_type=Path))
@click.argument("text")
@click.option("--split", default="test", show_default=True, help="the part of a named corpus")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
@errors_option
@click.option("--seed", default=0, show_default=True, help="seed of the bootstrap and of the sign-flip test")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def command(
    models: tuple[Path, ...], text: str, split: str, encoding: str, errors: Any, seed: int, as_json: bool
) -> None:
    """Compare the models in several RUNs (run folders or model files) on one TEXT.

    TEXT is a file, a folder, a named corpus (its --split), or - for standard input; it comes last. Only models of
    the same vocabulary are ranked by perplexity. Others are ranked by bits per character, or not at all where
    unknown words are scored as `<unk>`. Each model is compared with the best one line by line: the mean difference
    in bits per line, its 95 % interval, and p, the probability of a difference this large by chance.
    """
    found = compare(models, text_argument(text), split, encoding=encoding, errors=errors, seed=seed)
    click.echo(
        _json(found) if as_json else f"{table(found.text_rows())}\n\n{prose_table(found.definitions())}"
    )


def _json(found: Comparison) -> str:
    models = [
        {
            "model": each.name,
            **each.measures.to_dict(),
            "tokens_per_second": each.tokens_per_second,
            "parameters": each.parameters,
            "file_bytes": each.file_bytes,
            "unknown_tokens_not_in_text": each.unknown,
            "difference_from_best": None if each.difference is None else asdict(each.difference),
        }
        for each in found
    ]
    ranked = found.ranking
    return to_json({"ranked_by": ranked.by, "why": ranked.why, "seed": found.seed, "models": models})
