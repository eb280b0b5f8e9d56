"""`elman generate`: text, token by token.

What `elman generate --novelty` tells: how much of a text is copied, and how much is new.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from elman.cli.inputs import encoded
from elman.cli.tables import to_json
from elman.evaluation.novelty import novelty
from elman.evaluation.perplexity import read
from elman.files import release_pages
from elman.generation import Sampler, generate
from elman.text.corpus import Corpus
from elman.text_model import TextModel, load
from elman.training.origin import training_text
from elman.workers import limited_threads

LONGEST_NGRAM = {"word": 6, "subword": 8, "char": 10, "byte": 10}
COUNTED = 1 << 20  # tokens in which ends of lines are counted at a time


@contextlib.contextmanager
def text_to_compare(
    run: Path, text_model: TextModel, named: str | None, encoding: str
) -> Iterator[tuple[str, Corpus]]:
    """Yield the text ``named``, a corpus argument, or else the one that the model learnt from; and its name."""
    if named is not None:
        with encoded(text_model, named, "train", encoding) as corpus:
            yield named, corpus
    else:
        with tempfile.TemporaryDirectory() as folder:
            corpus = training_text(run, text_model, Path(folder))
            yield str(text_model.info.get("corpus", corpus.sources[0])), corpus


def report(text_model: TextModel, drawn: Sequence[int], name: str, corpus: Corpus) -> dict[str, Any]:
    """Return what ``drawn`` ids copy from a text, and the shares of their n-grams that are not in it."""
    found = novelty(np.array(drawn, np.int64), corpus.ids, max_n=LONGEST_NGRAM[text_model.tokenizer.level])
    copied = drawn[found.begin : found.begin + found.longest]
    text = text_model.tokenizer.join(text_model.vocabulary.decode(copied))
    return {
        "compared_with": name,
        "compared_tokens": corpus.tokens,
        "longest_tokens": found.longest,
        "longest_characters": len(text),
        "longest_text": text,
        "longest_line": _line(corpus, found.position) if found.longest else None,
        "new_share": {str(n): share for n, share in found.new_share.items()},
    }


def _line(corpus: Corpus, position: int) -> int | None:
    """Return the number of the line, from 1 on, that a token stands in; None where lines have no end to count."""
    eos = corpus.vocabulary.eos_id
    if eos is None:
        return 1 if corpus.lines == 1 else None
    line = 1
    for k in range(0, position, COUNTED):
        line += int(np.count_nonzero(corpus.ids[k : min(k + COUNTED, position)] == eos))
        release_pages(corpus.ids)
    return line


def table(told: dict[str, Any], unit: str, tokens: int) -> str:
    """Return a report on ``tokens`` drawn tokens as lines for people."""
    rows = [("compared with", f"{told['compared_with']}, {told['compared_tokens']:,} {unit}s")]
    if told["longest_tokens"]:
        characters = f", {told['longest_characters']:,} characters" if unit != "character" else ""
        rows += [
            ("longest copy", f"{told['longest_tokens']:,} {unit}s{characters}"),
            ("its text", json.dumps(told["longest_text"], ensure_ascii=False)),
        ]
        if told["longest_line"] is not None:
            rows.append(("its place", f"line {told['longest_line']:,}"))
    else:
        rows.append(("longest copy", "none"))
    for n, share in told["new_share"].items():
        count = tokens - int(n) + 1
        rows.append((f"new {n}-grams", f"{share:7.2%}  {round(share * count):,} of {count:,}"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


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
    with limited_threads(0):
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
