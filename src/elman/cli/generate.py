"""`elman generate`: text, token by token."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from elman.cli.json_lines import to_json
from elman.cli.novelty import report, table, text_to_compare
from elman.evaluation.perplexity import read
from elman.generation import Sampler, generate
from elman.models.file import load
from elman.models.text_model import TextModel
from elman.threads import suited_threads


@click.command("generate", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--prompt", default="", help="text to go on from")
@click.option("-n", "--length", default=100, show_default=True, type=click.IntRange(0), help="tokens to draw")
@click.option(
    "--temperature", default=1.0, show_default=True, help="below 1 bolder, above 1 wilder; 0 is greedy"
)
@click.option(
    "--top-k", default=0, show_default=True, help="draw from the k most probable tokens only; 0: all"
)
@click.option(
    "--top-p",
    default=1.0,
    show_default=True,
    help="draw from the most probable tokens that together reach p; 1: all",
)
@click.option("--greedy", is_flag=True, help="always the most probable token")
@click.option("--unk/--no-unk", "allow_unk", default=False, help="may <unk> be drawn?  [default: no]")
@click.option(
    "--seed", type=click.IntRange(0), help="the same seed draws the same text; without it, every time another"
)
@click.option("--novelty", is_flag=True, help="tell what of the drawn text is copied from the training text")
@click.option(
    "--novelty-text",
    metavar="TEXT",
    help="the same, for another text: a file, a folder, a named corpus, or - for standard input",
)
@click.option(
    "--encoding", default="utf-8", show_default=True, help="the encoding of the text of --novelty-text"
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object, when all is drawn")
def command(
    run: Path,
    prompt: str,
    length: int,
    temperature: float,
    top_k: int,
    top_p: float,
    greedy: bool,
    allow_unk: bool,
    seed: int | None,
    novelty: bool,
    novelty_text: str | None,
    encoding: str,
    as_json: bool,
) -> None:
    """Write text with the model in RUN, as it is drawn.

    --novelty tells on standard error which is the longest stretch of the drawn text that stands verbatim in the
    training text, on which line it begins there, and which share of the drawn n-grams is new.
    """
    text_model = load(run)
    unk = text_model.vocabulary.unk_id
    exclude = () if allow_unk or unk is None else (unk,)
    sampler = Sampler(0.0 if greedy else temperature, top_k, top_p, exclude)

    with contextlib.ExitStack() as stack:
        compared = None
        if (
            novelty or novelty_text is not None
        ):  # what cannot be compared is an error before there is any output
            compared = stack.enter_context(text_to_compare(run, text_model, novelty_text, encoding))
        drawn: list[int] = []
        parts: list[str] = []
        for part in _written(text_model, prompt, sampler, np.random.default_rng(seed), length, drawn):
            parts.append(part) if as_json else click.echo(part, nl=False)
        told = None if compared is None else report(text_model, drawn, *compared)
    if as_json:
        click.echo(to_json(_as_dict(text_model, prompt, "".join(parts), drawn, told)))
        return
    click.echo()
    if told is not None:
        click.echo(table(told, text_model.unit, len(drawn)), err=True)


def _written(
    text_model: TextModel,
    prompt: str,
    sampler: Sampler,
    rng: np.random.Generator,
    length: int,
    drawn: list[int],
) -> Iterator[str]:
    """Yield the prompt and what the model writes after it; ``drawn`` receives the ids of the latter."""
    tokens, ids = text_model.encode(prompt)
    _warn_of_unknown(text_model, tokens)
    state = read(text_model.model, ids, text_model.start_id)
    decoder = text_model.tokenizer.decoder()
    yield "".join(decoder.push(token) for token in tokens)
    with suited_threads(0):
        for token_id in generate(text_model.model, state, sampler, rng, length):
            drawn.append(token_id)
            yield decoder.push(text_model.vocabulary.token(token_id))
    yield decoder.finish()


def _warn_of_unknown(text_model: TextModel, tokens: list[str]) -> None:
    unknown = [
        token for token, is_unknown in zip(tokens, text_model.is_unknown(tokens), strict=True) if is_unknown
    ]
    if unknown:
        what = "left out" if text_model.vocabulary.unk_id is None else "read as <unk>"
        click.echo(f"elman: not in the vocabulary, {what}: {' '.join(dict.fromkeys(unknown))}", err=True)


def _as_dict(
    text_model: TextModel, prompt: str, text: str, drawn: list[int], told: dict[str, Any] | None
) -> dict[str, Any]:
    found = {"prompt": prompt, "text": text, "unit": text_model.unit, "tokens": len(drawn)}
    return found if told is None else found | {"novelty": told}
