"""`elman eval`: the perplexity of a text, with everything that defines the number."""

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from elman.errors import TextError
from elman.evaluation.optimum import rooms_optimum
from elman.evaluation.perplexity import evaluate
from elman.models.file import load
from elman.models.text_model import TextModel
from elman.text import datasets
from elman.text.corpus import Corpus, encode_corpus


@click.command("eval", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("text")
@click.option("--split", default="test", show_default=True, help="which part of a named corpus")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
@click.option(
    "--lanes",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="pieces read side by side, each begun afresh",
)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def command(run: Path, text: str, split: str, encoding: str, lanes: int, as_json: bool) -> None:
    """Measure the model in RUN (a run folder or a model file) on TEXT.

    TEXT is a file, a folder, a named corpus (its --split), or - for standard input.
    """
    text_model = load(run)
    with tempfile.TemporaryDirectory() as folder:
        if text == "-":
            sources = [datasets.spool(sys.stdin.buffer, Path(folder))]
        else:
            sources = datasets.resolve(text, split)
        corpus = encode_corpus(
            sources, text_model.tokenizer, cache=None, vocabulary=text_model.vocabulary, encoding=encoding
        )
    found = measure(text_model, corpus, lanes)
    if as_json:
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in found.items()}
        click.echo(json.dumps(finite, ensure_ascii=False))
    else:
        click.echo(table(found))


def measure(text_model: TextModel, corpus: Corpus, lanes: int = 1) -> dict[str, Any]:
    """Return every number about a model and a text, each under a name that says its unit."""
    vocabulary = text_model.vocabulary
    if corpus.tokens == 0:
        raise TextError("the text holds no token to evaluate")
    found = evaluate(
        text_model.model, corpus.ids, eos=text_model.start_id, unk=vocabulary.unk_id, lanes=lanes
    )
    optimum = rooms_optimum(str(text_model.info.get("corpus")), corpus.ids, vocabulary)
    numbers: dict[str, Any] = {
        "unit": text_model.unit,
        "perplexity": found.perplexity,
        "perplexity_known_tokens": found.perplexity_known,
        "bits_per_token": found.bits_per(corpus.tokens),
        "bits_per_char": found.bits_per(corpus.characters),
        "bits_per_byte": found.bits_per(corpus.bytes),
        "tokens": found.tokens,
        "unknown_tokens": found.unknown,
        "characters": corpus.characters,
        "bytes": corpus.bytes,
        "lines": corpus.lines,
        "nll_nats": found.nll_nats,
        "vocab_size": len(vocabulary),
        "end_of_line": "counted" if vocabulary.eos_id is not None else "not in the vocabulary",
        "first_token": "from the empty past" if text_model.start_id is None else "from the end of a line",
        "state": "carried through the text" if lanes == 1 else f"carried through each of {lanes} pieces",
    }
    if optimum is not None:
        numbers["lowest_possible_perplexity"] = optimum.perplexity
    return numbers


def table(found: dict[str, Any]) -> str:
    """Return the numbers as lines for people."""
    unit, eos = found["unit"], found["end_of_line"]
    rows = [
        (f"perplexity per {unit}", f"{found['perplexity']:.4f}"),
        ("bits per character", f"{found['bits_per_char']:.4f}"),
        ("bits per byte", f"{found['bits_per_byte']:.4f}"),
        (f"{unit}s", f"{found['tokens']:,} in {found['lines']:,} lines, {found['characters']:,} characters"),
        (
            f"unknown {unit}s",
            f"{found['unknown_tokens']:,} ({found['unknown_tokens'] / found['tokens']:.2%})",
        ),
        (f"perplexity per known {unit}", f"{found['perplexity_known_tokens']:.4f}"),
        ("vocabulary", f"{found['vocab_size']:,}"),
        ("end of line", f"{eos}; the first {unit} is predicted {found['first_token']}"),
        ("state", found["state"]),
    ]
    if "lowest_possible_perplexity" in found:
        rows.insert(1, ("lowest possible perplexity", f"{found['lowest_possible_perplexity']:.4f}"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
