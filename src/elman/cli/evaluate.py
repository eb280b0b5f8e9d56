"""`elman eval`: the perplexity of a text, with everything that defines the number."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click

from elman.backend import Backend
from elman.cli.inputs import encoded
from elman.cli.options import cache_options, dynamic_options, threads_for, with_cache, with_dynamic
from elman.cli.tables import to_json
from elman.evaluation.perplexity import Watch, evaluate
from elman.evaluation.rooms import rooms_optimum
from elman.models.adaptive.cache import CachedModel
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.base import LanguageModel
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.models.window import WindowLM
from elman.text.corpus import Corpus
from elman.text_model import TextModel, load


@click.command("eval", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("text")
@click.option("--split", default="test", show_default=True, help="which part of a named corpus")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
@click.option(
    "--batch-size",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="pieces read side by side, each begun afresh",
)
@click.option(
    "--backend",
    type=click.Choice(["numpy", "torch"]),
    default="numpy",
    show_default=True,
    help="what holds the weights and computes: NumPy, or PyTorch's tensors",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="where tensors live; cuda, a GPU, needs --backend torch",
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

    TEXT is a file, a folder, a named corpus (its --split), or - for standard input. Of a mixture, each recurrent
    member has a neural cache, and learns by --dynamic, by itself.
    """
    learning = with_dynamic(load(run, Backend(backend, device=device)), encoding, **dynamic)
    text_model = with_cache(learning, cache, neural_cache, theta, cache_weight)
    with encoded(text_model, text, split, encoding) as corpus, threads_for(**dynamic):
        found = measure(text_model, corpus, batch_size)
    if found["unknown_tokens"] and text_model.vocabulary.unk_id is None:
        click.echo(
            f"elman: {found['unknown_tokens']:,} {found['unit']}s are not in the vocabulary, which has no <unk>: "
            "the text has probability 0; train with --min-count 2 or --max-vocab to give unknown words a probability",
            err=True,
        )
    if as_json:
        click.echo(to_json(found))
    else:
        click.echo(table(found))


def measure(
    text_model: TextModel, corpus: Corpus, batch_size: int = 1, watch: Watch | None = None
) -> dict[str, Any]:
    """Return every number about a model and a text, each under a name that says its unit; ``watch``: see `evaluate`."""
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
        "state": _carried(text_model, found.batch_size),
    }
    numbers |= adaptations(text_model.model)
    if optimum is not None:
        numbers["lowest_possible_perplexity"] = optimum.perplexity
    return numbers


WHO = {"dynamic": "each recurrent or window member: ", "cache": "each recurrent member: "}


def adaptations(model: LanguageModel) -> dict[str, str]:
    """Return in words how a model, or a member of a mixture, adapts to what it reads: by "dynamic" and "cache"."""
    if isinstance(model, Mixture):
        found: dict[str, str] = {}
        for member in model.models:
            found |= adaptations(member)
        return {name: who + words.removeprefix(who) for name, words in found.items() for who in [WHO[name]]}
    if isinstance(model, DynamicModel):
        return {"dynamic": model.definition}
    if isinstance(model, CachedModel):
        inner = adaptations(model.model)
        both = [words for words in (inner.get("cache"), model.definition) if words]
        return inner | {"cache": "; ".join(both)}
    return {}


def _carried(text_model: TextModel, batch_size: int) -> str:
    """Return in words how far the past reaches."""
    carried = (
        "carried through the text" if batch_size == 1 else f"carried through each of {batch_size} pieces"
    )
    model = text_model.model
    if isinstance(model, DynamicModel):
        return _carried(replace(text_model, model=model.model), batch_size)
    if isinstance(model, CachedModel):
        inner = _carried(replace(text_model, model=model.model), batch_size)
        return inner if inner == carried else f"{inner}; the cache is {carried}"
    if isinstance(model, Mixture):
        members = {_carried(replace(text_model, model=member), batch_size) for member in model.models}
        return members.pop() if len(members) == 1 else carried
    if isinstance(model, NgramModel) and model.eos is not None:
        return "begun afresh on every line"
    if isinstance(model, WindowLM):
        return f"the last {model.window} {text_model.unit}s, {carried}"
    return carried


def table(found: dict[str, Any]) -> str:
    """Return the numbers as lines for people."""
    unit, eos = found["unit"], found["end_of_line"]
    unknown = f"{found['unknown_tokens']:,} ({found['unknown_tokens'] / found['tokens']:.2%})"
    rows = [
        (f"perplexity per {unit}", f"{found['perplexity']:.4f}"),
        ("bits per character", f"{found['bits_per_char']:.4f}"),
        ("bits per byte", f"{found['bits_per_byte']:.4f}"),
        (f"{unit}s", f"{found['tokens']:,} in {found['lines']:,} lines, {found['characters']:,} characters"),
        (f"unknown {unit}s", f"{unknown}, {found['unknown_rule']}" if found["unknown_tokens"] else unknown),
        (f"perplexity per known {unit}", f"{found['perplexity_known_tokens']:.4f}"),
        ("vocabulary", f"{found['vocab_size']:,}"),
        ("end of line", f"{eos}; the first {unit} is predicted {found['first_token']}"),
        ("state", found["state"]),
    ]
    rows += [(name, found[name]) for name in ("dynamic", "cache") if name in found]
    if "lowest_possible_perplexity" in found:
        rows.insert(1, ("lowest possible perplexity", f"{found['lowest_possible_perplexity']:.4f}"))
    if unit != "word" and found["perplexity_per_word"] is not None:
        words = f"{found['words']:,} between blanks, and {found['lines']:,} ends of lines"
        perplexity = found["perplexity_per_word"]
        shown = f"{perplexity:.4f}" if perplexity < 1e6 else f"{perplexity:.4g}"
        rows.insert(1, ("perplexity per word", f"{shown}, of {words}"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
