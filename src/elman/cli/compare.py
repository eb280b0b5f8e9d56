"""`elman compare`: several models on one text, ranked where their numbers can be compared."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from elman.cli.inputs import text_argument
from elman.errors import ConfigError
from elman.evaluation.comparison import LineDifference, Ranking, line_difference, ranking, replaced_tokens
from elman.evaluation.measures import measure
from elman.evaluation.perplexity import LineNlls
from elman.formats.model_file import MODEL_NAME, describe_model, model_file
from elman.models.base import Ids, LogProbs
from elman.results import format_table, to_json
from elman.text.corpus import encode_corpus
from elman.text.sources import source_files, temporary_folder
from elman.text_model import TextModel, load


@dataclass
class Compared:
    """A model's measures on the text; ``difference`` is from the best model, and None for the best itself."""

    name: str
    text_model: TextModel
    numbers: dict[str, Any]
    line_nats: NDArray[np.float64] = field(repr=False)
    unknown: int
    difference: LineDifference | None = None


@click.command("compare", no_args_is_help=True)
@click.argument("runs", nargs=-1, metavar="RUN RUN...", type=click.Path(path_type=Path))
@click.argument("text")
@click.option("--split", default="test", show_default=True, help="the part of a named corpus")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
@click.option("--seed", default=0, show_default=True, help="seed of the bootstrap and of the sign-flip test")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def command(runs: tuple[Path, ...], text: str, split: str, encoding: str, seed: int, as_json: bool) -> None:
    """Compare the models in several RUNs (run folders or model files) on one TEXT.

    TEXT is a file, a folder, a named corpus (its --split), or - for standard input; it comes last. Only models of
    the same vocabulary are ranked by perplexity. Others are ranked by bits per character, or not at all where
    unknown words are scored as `<unk>`. Each model is compared with the best one line by line: the mean difference
    in bits per line, its 95 % interval, and p, the probability of a difference this large by chance.
    """
    if len(set(runs)) < max(2, len(runs)):
        raise ConfigError("name two or more different RUNs to compare, and then the TEXT")
    if (Path(text) / MODEL_NAME).exists():
        raise ConfigError(f"{text} is a run, not a text; name the TEXT after the RUNs")
    models = [(str(run), load(run)) for run in runs]
    with temporary_folder() as folder, source_files(text_argument(text), split, folder) as files:
        found = [_read(name, model, files, encoding) for name, model in models]
    ranked = ranking([each.text_model for each in found], [each.unknown for each in found])
    if ranked.by is not None:
        found = _in_order(found, ranked.by, seed)
    if as_json:
        click.echo(_json(found, ranked, seed))
    else:
        click.echo(f"{table(found)}\n\n{definition(found, ranked, seed)}")


def _read(name: str, text_model: TextModel, files: list[Path], encoding: str) -> Compared:
    """Measure a model on a text, read as one sequence, and how fast it reads."""
    lines = LineNlls(text_model.vocabulary.eos_id)
    start = end = perf_counter()

    def watch(ids: Ids, log_probs: LogProbs) -> None:
        nonlocal end
        lines(ids, log_probs)
        end = perf_counter()

    with temporary_folder() as folder:
        corpus = encode_corpus(
            files, text_model.tokenizer, cache=folder, vocabulary=text_model.vocabulary, encoding=encoding
        )
        start = perf_counter()
        numbers = measure(text_model, corpus, watch=watch).to_dict()
        unknown = replaced_tokens(text_model, corpus, encoding)
    arrays, _ = describe_model(text_model.model)
    numbers |= {
        "tokens_per_second": numbers["tokens"] / max(end - start, 1e-9),
        "parameters": sum(array.size for array in arrays.values() if np.issubdtype(array.dtype, np.floating)),
        "file_bytes": model_file(Path(name)).stat().st_size,
    }
    return Compared(name, text_model, numbers, lines.nats(), unknown)


def _in_order(found: Sequence[Compared], by: str, seed: int) -> list[Compared]:
    """Return the models, best first; each other one with its difference from the best, if the lines can be paired."""
    best, *others = sorted(found, key=lambda each: each.numbers[by])
    for other in others:
        numbers = len(best.line_nats), len(other.line_nats)
        if numbers[0] == numbers[1] > 1 and math.isfinite(other.numbers[by]):
            rng = np.random.default_rng(seed)
            other.difference = line_difference(other.line_nats, best.line_nats, rng)
    return [best, *others]


def table(found: Sequence[Compared]) -> str:
    """Return a table for people, with one row per model."""
    units = {each.text_model.unit for each in found}
    speed = f"{units.pop()}s/s" if len(units) == 1 else "tokens/s"
    names = ("perplexity", "per", "bits/char", "unknown", speed, "parameters", "file MB")
    head = ("model", *names, "bits per line", "95 % interval", "p")
    return format_table([head, *map(_row, found)])


def _row(each: Compared) -> tuple[str, ...]:
    numbers, differs = each.numbers, each.difference
    compared = ("", "", "")
    if differs is not None:
        p = "<0.001" if differs.p < 0.001 else f"{differs.p:.3f}"
        compared = (f"{differs.bits:+.3f}", f"{differs.low:+.3f} to {differs.high:+.3f}", p)
    return (
        each.name,
        f"{numbers['perplexity']:.2f}",
        each.text_model.unit,
        f"{numbers['bits_per_char']:.4f}",
        f"{numbers['unknown_tokens']:,}",
        f"{numbers['tokens_per_second']:,.0f}",
        f"{numbers['parameters']:,}",
        f"{numbers['file_bytes'] / 1e6:.1f}",
        *compared,
    )


MEASURES = {
    "perplexity": "perplexity",
    "perplexity_known_tokens": "perplexity per known token",
    "bits_per_char": "bits per character",
}


def definition(found: Sequence[Compared], ranked: Ranking, seed: int) -> str:
    """Return a table for people that defines the numbers of the other one."""
    how = f"by {MEASURES[ranked.by]}: " if ranked.by is not None else "not at all: "
    rows = [("ranked", how + ranked.why)]
    for title, describe in (
        ("text", lambda n: f"{n['tokens']:,} {n['unit']}s in {n['lines']:,} lines, {n['characters']:,} characters"),
        ("unknown", lambda n: n["unknown_rule"]),
        ("end of line", lambda n: f"{n['end_of_line']}; the first token is predicted {n['first_token']}"),
        ("state", lambda n: n["state"]),
    ):  # fmt: skip
        rows += [(title, text) for text in _grouped(found, describe)]
    if any(each.difference for each in found):
        rows += [
            ("bits per line", f"mean difference from {found[0].name}, over {_lines(found):,} lines"),
            ("interval", "of that mean, from bootstrap samples of lines"),
            ("p", f"two-sided, from sign flips of lines, which are taken to be independent; seed {seed}"),
        ]
    return format_table(rows, left=2)


def _lines(found: Sequence[Compared]) -> int:
    return max(each.difference.lines for each in found if each.difference is not None)


def _grouped(found: Sequence[Compared], describe: Any) -> list[str]:
    """Return one description where it is the same for all models, or else each with the names of its models."""
    groups: dict[str, list[str]] = {}
    for each in found:
        groups.setdefault(describe(each.numbers), []).append(each.name)
    if len(groups) == 1:
        return list(groups)
    return [f"{', '.join(names)}: {text}" for text, names in groups.items()]


def _json(found: Sequence[Compared], ranked: Ranking, seed: int) -> str:
    models = [
        {
            "model": each.name,
            **each.numbers,
            "unknown_tokens_not_in_text": each.unknown,
            "difference_from_best": None if each.difference is None else asdict(each.difference),
        }
        for each in found
    ]
    return to_json({"ranked_by": ranked.by, "why": ranked.why, "seed": seed, "models": models})
