"""Several models on one text as a table, ranked where their numbers can be compared: `Comparison`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.evaluation.comparison import LineDifference, Ranking, line_difference, ranking, replaced_tokens
from elman.evaluation.line_scores import warm_up
from elman.evaluation.measures import TextEvaluation, measure
from elman.evaluation.perplexity import BLOCK, LineNlls, evaluate, newlines_of
from elman.formats.model_file import describe_model
from elman.models.base import Ids, LogProbs
from elman.models.tokenized import TokenizedModel
from elman.results import Table, as_row, format_table
from elman.text.corpus import encode_corpus
from elman.text.sources import temporary_folder

MEASURES = {
    "perplexity": "perplexity",
    "perplexity_known_tokens": "perplexity per known token",
    "bits_per_char": "bits per character",
}
LEAST_SECONDS = 0.1  # of reading: a shorter text is read again, and the fastest time counts
MOST_READS = 50  # where a clock hardly moves


@dataclass
class Compared:
    """A model's measures on the text; ``difference`` is from the best model, and None for the best itself.

    ``parameters`` are numbers in the model; ``file_bytes`` is None for a model that is not in a file.
    """

    name: str
    text_model: TokenizedModel = field(repr=False)
    measures: TextEvaluation
    tokens_per_second: float
    parameters: int
    file_bytes: int | None
    line_nats: NDArray[np.float64] = field(repr=False)
    unknown: int
    difference: LineDifference | None = None


def compared(
    name: str,
    text_model: TokenizedModel,
    files: list[Path],
    encoding: str,
    file_bytes: int | None = None,
    errors: str = "strict",
) -> Compared:
    """Measure a model on a text, read as one sequence, and how fast it reads after a warm-up."""
    lines = LineNlls(text_model.vocabulary.eos_id, newlines_of(text_model))
    start = end = 0.0

    def watch(ids: Ids, log_probs: LogProbs) -> None:
        nonlocal end
        lines(ids, log_probs)
        end = perf_counter()

    with temporary_folder() as folder:
        corpus = encode_corpus(
            files,
            text_model.tokenizer,
            cache=folder,
            vocabulary=text_model.vocabulary,
            encoding=encoding,
            errors=errors,
        )
        warm_up(text_model)
        evaluate(text_model.model, corpus.ids[: 2 * BLOCK], eos=text_model.start_id)  # fills caches
        start = perf_counter()
        measures = measure(text_model, corpus, watch=watch)
        seconds = [end - start]
        while sum(seconds) < LEAST_SECONDS and len(seconds) < MOST_READS:
            start = perf_counter()
            evaluate(text_model.model, corpus.ids, eos=text_model.start_id)
            seconds.append(perf_counter() - start)
        unknown = replaced_tokens(text_model, corpus, encoding, errors)
    arrays, _ = describe_model(text_model.model)
    parameters = sum(array.size for array in arrays.values() if np.issubdtype(array.dtype, np.floating))
    speed = measures.tokens / max(min(seconds), 1e-9)
    return Compared(name, text_model, measures, speed, parameters, file_bytes, lines.nats(), unknown)


class Comparison(Table[Compared]):
    """Several models on one text, best first where they can be ranked; ``ranking`` says by what and why.

    Each model is compared with the best one line by line: the mean difference in bits per line, its 95 % interval, and
    p, the probability of a difference this large by chance. ``seed`` draws the samples.
    """

    def __init__(self, found: Sequence[Compared], seed: int = 0) -> None:
        self.seed = seed
        self.ranking: Ranking = ranking([each.text_model for each in found], [each.unknown for each in found])
        counts = {each.measures.tokens for each in found}
        if self.ranking.by in ("perplexity", "perplexity_known_tokens") and len(counts) > 1:
            numbers = " and ".join(f"{count:,}" for count in sorted(counts))
            why = f"the text has whitespace other than ASCII's, at which not all of them split it ({numbers} tokens)"
            self.ranking = Ranking(None, why)
        super().__init__(found if self.ranking.by is None else _in_order(found, self.ranking.by, seed))

    def row_dict(self, row: Compared) -> dict[str, Any]:
        """Return the columns of a model: its measures, speed, size, and difference from the best."""
        differs = row.difference
        return {
            "model": row.name,
            **{name: value for name, value in as_row(row.measures).items() if name != "versions"},
            "tokens_per_second": row.tokens_per_second,
            "parameters": row.parameters,
            "file_bytes": row.file_bytes,
            "bits_per_line_from_best": None if differs is None else differs.bits,
            "low": None if differs is None else differs.low,
            "high": None if differs is None else differs.high,
            "p": None if differs is None else differs.p,
        }

    def text_rows(self) -> list[list[str]]:
        """Return the table as text."""
        units = {each.text_model.unit for each in self}
        speed = f"{units.pop()}s/s" if len(units) == 1 else "tokens/s"
        names = ("perplexity", "per", "bits/char", "unknown", speed, "parameters", "file MB")
        return [["model", *names, "bits per line", "95 % interval", "p"], *map(_text_row, self)]

    def notes(self) -> str:
        """Define the numbers."""
        return format_table(self.definitions(), left=2)

    def definitions(self) -> list[tuple[str, str]]:
        """Return what defines the numbers: names and texts."""
        ranked = self.ranking
        how = f"by {MEASURES[ranked.by]}: " if ranked.by is not None else "not at all: "
        rows = [("ranked", how + ranked.why)]
        for title, describe in DEFINITIONS:
            rows += [(title, text) for text in self._grouped(describe)]
        counts = [each.difference.lines for each in self if each.difference is not None]
        if counts:
            rows += [
                ("bits per line", f"mean difference from {self[0].name}, over {max(counts):,} lines"),
                ("interval", "of that mean, from bootstrap samples of lines"),
                (
                    "p",
                    f"two-sided, from sign flips of lines, which are taken to be independent; seed {self.seed}",
                ),
            ]
        return rows

    def _grouped(self, describe: Callable[[TextEvaluation], str]) -> list[str]:
        """Return one description where it is the same for all models, or else each with the names of its models."""
        groups: dict[str, list[str]] = {}
        for each in self:
            groups.setdefault(describe(each.measures), []).append(each.name)
        if len(groups) == 1:
            return list(groups)
        return [f"{', '.join(names)}: {text}" for text, names in groups.items()]


DEFINITIONS: tuple[tuple[str, Callable[[TextEvaluation], str]], ...] = (
    ("text", lambda n: f"{n.tokens:,} {n.unit}s in {n.lines:,} lines, {n.characters:,} characters"),
    ("unknown", lambda n: n.unknown_rule),
    ("end of line", lambda n: f"{n.end_of_line}; the first token is predicted {n.first_token}"),
    ("state", lambda n: n.state),
)


def _in_order(found: Sequence[Compared], by: str, seed: int) -> list[Compared]:
    """Return the models, best first; each other one with its difference from the best, if the lines can be paired."""
    numbers_of = [float(getattr(each.measures, by)) for each in found]
    places = sorted(
        range(len(found)), key=lambda k: (math.isnan(numbers_of[k]), numbers_of[k])
    )  # NaN is last
    best, *others = (found[k] for k in places)
    for other in others:
        numbers = len(best.line_nats), len(other.line_nats)
        if numbers[0] == numbers[1] > 1 and math.isfinite(getattr(other.measures, by)):
            rng = np.random.default_rng(seed)
            other.difference = line_difference(other.line_nats, best.line_nats, rng)
    return [best, *others]


def _text_row(each: Compared) -> list[str]:
    numbers, differs = each.measures, each.difference
    row = ["", "", ""]
    if differs is not None:
        p = "<0.001" if differs.p < 0.001 else f"{differs.p:.3f}"
        row = [f"{differs.bits:+.3f}", f"{differs.low:+.3f} to {differs.high:+.3f}", p]
    return [
        each.name,
        f"{numbers.perplexity:.2f}",
        each.text_model.unit,
        f"{numbers.bits_per_char:.4f}",
        f"{numbers.unknown_tokens:,}",
        f"{each.tokens_per_second:,.0f}",
        f"{each.parameters:,}",
        "" if each.file_bytes is None else f"{each.file_bytes / 1e6:.1f}",
        *row,
    ]
