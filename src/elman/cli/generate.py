"""`elman generate`: text, token by token."""

from pathlib import Path

import click
import numpy as np

from elman.evaluation.perplexity import read
from elman.generation import Sampler, generate
from elman.models.file import load
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
) -> None:
    """Write text with the model in RUN, as it is drawn."""
    text_model = load(run)
    model, vocabulary = text_model.model, text_model.vocabulary
    exclude = () if allow_unk or vocabulary.unk_id is None else (vocabulary.unk_id,)
    sampler = Sampler(0.0 if greedy else temperature, top_k, top_p, exclude)

    tokens, ids = text_model.encode(prompt)
    unknown = [
        token for token, is_unknown in zip(tokens, text_model.is_unknown(tokens), strict=True) if is_unknown
    ]
    if unknown:
        what = "left out" if vocabulary.unk_id is None else "read as <unk>"
        click.echo(f"elman: not in the vocabulary, {what}: {' '.join(dict.fromkeys(unknown))}", err=True)
    state = read(model, ids, text_model.start_id)

    decoder = text_model.tokenizer.decoder()
    click.echo("".join(decoder.push(token) for token in tokens), nl=False)
    with suited_threads(0):
        for token_id in generate(model, state, sampler, np.random.default_rng(seed), length):
            click.echo(decoder.push(vocabulary.token(token_id)), nl=False)
    click.echo(decoder.finish())
