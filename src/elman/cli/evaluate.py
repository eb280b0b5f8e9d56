"""`elman eval`: perplexity and other measures of a model on a text, with what defines them."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click

from elman.backend import Backend
from elman.cli.inputs import text_argument
from elman.cli.options import cache_options, dynamic_options, with_cache, with_dynamic
from elman.evaluation.perplexity import Watch, evaluate
from elman.evaluation.rooms import rooms_optimum
from elman.models.adaptive.cache import CachedModel
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.base import LanguageModel
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.models.window import WindowLM
from elman.results import format_table, to_json
from elman.text.corpus import Corpus
from elman.text.sources import encoded
from elman.text_model import TextModel, load


@click.command("eval", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("text")
@click.option("--split", default="test", show_default=True, help="the part of a named corpus")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
@click.option(
    "--batch-size",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="sequences that the text is cut into and read in parallel, each from a fresh state",
)
@click.option(
    "--backend",
    type=click.Choice(["numpy", "torch"]),
    default="numpy",
    show_default=True,
    help="the array library that computes",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="where it computes; cuda (a GPU) needs --backend torch",
)
@dynamic_options
@cache_options
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def command(
    run: Path,
    text: str,
    split: str,
    encoding: str,
    batch_size: int,
    backend: Literal["numpy", "torch"],
    device: str,
    as_json: bool,
    cache: int | None,
    neural_cache: int | None,
    theta: float | None,
    cache_weight: float | None,
    **dynamic: Any,
) -> None:
    """Measure the model in RUN (a run folder or a model file) on TEXT.

    TEXT is a file, a folder, a named corpus (its --split), or - for standard input. In a mixture, --neural-cache
    and --dynamic apply to each recurrent member separately.
    """
    dynamic_model = with_dynamic(load(run, Backend(backend, device=device)), encoding, **dynamic)
    text_model = with_cache(dynamic_model, cache, neural_cache, theta, cache_weight)
    with encoded(text_argument(text), text_model.tokenizer, text_model.vocabulary, split, encoding) as corpus:
        numbers = measure(text_model, corpus, batch_size)
    if numbers["unknown_tokens"] and text_model.vocabulary.unk_id is None:
        click.echo(
            f"elman: {numbers['unknown_tokens']:,} {numbers['unit']}s are not in the vocabulary, which has no <unk>: "
            "the text has probability 0; train with --min-count 2 or --max-vocab to give unknown words a probability",
            err=True,
        )
    click.echo(to_json(numbers) if as_json else table(numbers))


def measure(
    text_model: TextModel, corpus: Corpus, batch_size: int = 1, watch: Watch | None = None
) -> dict[str, Any]:
    """Return all measures of a model on a text, under names with units; ``watch`` is passed to `evaluate`."""
    vocabulary = text_model.vocabulary
    found = evaluate(
        text_model.model,
        corpus.ids,
        eos=text_model.start_id,
        unk=vocabulary.unk_id,
        batch_size=batch_size,
        watch=watch,
    )
    optimum = rooms_optimum(str(text_model.info.get("corpus")), corpus.ids, vocabulary)
    numbers: dict[str, Any] = {
        "unit": text_model.unit,
        "perplexity": found.perplexity,
        "perplexity_known_tokens": found.perplexity_known,
        "bits_per_token": found.bits_per(corpus.tokens),
        "perplexity_per_word": found.perplexity_per(corpus.words + corpus.lines) if corpus.words else None,
        "bits_per_char": found.bits_per(corpus.characters),
        "bits_per_byte": found.bits_per(corpus.bytes),
        "tokens": found.tokens,
        "words": corpus.words,
        "unknown_tokens": found.unknown,
        "unknown_rule": "scored as <unk>" if vocabulary.unk_id is not None else "probability 0: no <unk>",
        "characters": corpus.characters,
        "bytes": corpus.bytes,
        "lines": corpus.lines,
        "nll_nats": found.nll_nats,
        "vocab_size": len(vocabulary),
        "end_of_line": "counted" if vocabulary.eos_id is not None else "not in the vocabulary",
        "first_token": "from the empty past" if text_model.start_id is None else "from the end of a line",
        "state": _describe_state(text_model, found.batch_size),
    }
    numbers |= adaptations(text_model.model)
    if optimum is not None:
        numbers["lowest_possible_perplexity"] = optimum.perplexity
    return numbers


MEMBERS = {"dynamic": "each recurrent or window member: ", "cache": "each recurrent member: "}


def adaptations(model: LanguageModel) -> dict[str, str]:
    """Describe how a model, or the members of a mixture, adapt to the text: under "dynamic" and "cache"."""
    if isinstance(model, Mixture):
        found: dict[str, str] = {}
        for member in model.models:
            found |= adaptations(member)
        return {name: MEMBERS[name] + text.removeprefix(MEMBERS[name]) for name, text in found.items()}
    if isinstance(model, DynamicModel):
        return {"dynamic": model.definition}
    if isinstance(model, CachedModel):
        inner = adaptations(model.model)
        both = [text for text in (inner.get("cache"), model.definition) if text]
        return inner | {"cache": "; ".join(both)}
    return {}


def _describe_state(text_model: TextModel, batch_size: int) -> str:
    """Describe what the model remembers from one token to the next."""
    carried = (
        "carried through the text" if batch_size == 1 else f"carried through each of {batch_size} sequences"
    )
    model = text_model.model
    if isinstance(model, DynamicModel):
        return _describe_state(replace(text_model, model=model.model), batch_size)
    if isinstance(model, CachedModel):
        inner = _describe_state(replace(text_model, model=model.model), batch_size)
        return inner if inner == carried else f"{inner}; the cache is {carried}"
    if isinstance(model, Mixture):
        members = {_describe_state(replace(text_model, model=member), batch_size) for member in model.models}
        return members.pop() if len(members) == 1 else carried
    if isinstance(model, NgramModel) and model.eos is not None:
        return "reset on every line"
    if isinstance(model, WindowLM):
        return f"the last {model.window} {text_model.unit}s, {carried}"
    return carried


def table(numbers: dict[str, Any]) -> str:
    """Return the measures as a table for people."""
    unit, unknown_count = numbers["unit"], numbers["unknown_tokens"]
    size = f"{numbers['tokens']:,} in {numbers['lines']:,} lines, {numbers['characters']:,} characters"
    unknown = f"{unknown_count:,} ({unknown_count / numbers['tokens']:.2%})"
    end = f"{numbers['end_of_line']}; the first {unit} is predicted {numbers['first_token']}"
    rows = [(f"perplexity per {unit}", f"{numbers['perplexity']:.4f}")]
    if unit != "word" and numbers["perplexity_per_word"] is not None:
        per_word = numbers["perplexity_per_word"]
        shown = f"{per_word:.4f}" if per_word < 1e6 else f"{per_word:.4g}"
        counted = f"{numbers['words']:,} words between spaces and {numbers['lines']:,} ends of lines"
        rows.append(("perplexity per word", f"{shown}, for {counted}"))
    if "lowest_possible_perplexity" in numbers:
        rows.append(("lowest possible perplexity", f"{numbers['lowest_possible_perplexity']:.4f}"))
    rows += [
        ("bits per character", f"{numbers['bits_per_char']:.4f}"),
        ("bits per byte", f"{numbers['bits_per_byte']:.4f}"),
        (f"{unit}s", size),
        (f"unknown {unit}s", f"{unknown}, {numbers['unknown_rule']}" if unknown_count else unknown),
        (f"perplexity per known {unit}", f"{numbers['perplexity_known_tokens']:.4f}"),
        ("vocabulary", f"{numbers['vocab_size']:,}"),
        ("end of line", end),
        ("state", numbers["state"]),
    ]
    rows += [(name, numbers[name]) for name in ("dynamic", "cache") if name in numbers]
    return format_table(rows, left=2)
