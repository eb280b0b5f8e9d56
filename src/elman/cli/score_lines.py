"""Tables of the probabilities of lines: of all as they come, or of the oddest at the end."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from elman.cli.json_lines import to_json
from elman.evaluation.line_measure import Measure
from elman.evaluation.oddest import Found, Oddest
from elman.evaluation.scoring import LineScore
from elman.models.text_model import TextModel

Scorer = Callable[[Iterable[str]], Iterator[LineScore]]


class LineTable:
    """Prints every line's score: the natural and the decimal logarithm, or the one measure asked for."""

    def __init__(
        self, text_model: TextModel, scorer: Scorer, measure: Measure | None, as_json: bool = False
    ) -> None:
        self._ends = int(text_model.vocabulary.eos_id is not None)
        self._scorer = scorer
        self._measures = [Measure("nats"), Measure("log10")] if measure is None else [measure]
        self._as_json = as_json
        self._with_characters = any(measure.per == "char" for measure in self._measures)

    def begin(self) -> None:
        """Print the names of the columns."""
        self._print_head([])

    def lines(self, lines: list[str]) -> int:
        """Print the scores of lines; return how many are impossible."""
        impossible = 0
        for line, score in zip(lines, self._scorer(lines), strict=True):
            impossible += math.isinf(score.nll_nats)
            self._print({}, score, line)
        return impossible

    def end(self) -> None:
        """Print nothing: the last line was printed when it came."""

    def _print_head(self, before: list[str]) -> None:
        if not self._as_json:
            names = [measure.name for measure in self._measures]
            characters = ["characters"] if self._with_characters else []
            click.echo("\t".join([*before, *names, "perplexity", "tokens", *characters, "unknown", "text"]))

    def _print(self, before: dict[str, int], score: LineScore, line: str) -> None:
        row: dict[str, Any] = {**before}
        row |= {measure.name: measure.of(score, self._characters(line)) for measure in self._measures}
        row |= {"perplexity": score.perplexity, "tokens": score.tokens}
        row |= {"characters": self._characters(line)} if self._with_characters else {}
        row |= {"unknown": score.unknown, "text": line}
        if self._as_json:
            click.echo(to_json(row))
        else:
            click.echo("\t".join(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))

    def _characters(self, line: str) -> int:
        return len(line) + self._ends


class TopTable(LineTable):
    """Prints the oddest lines at the end, the oddest first, with their numbers."""

    def __init__(
        self, text_model: TextModel, scorer: Scorer, measure: Measure, most: int, as_json: bool = False
    ) -> None:
        super().__init__(text_model, scorer, measure, as_json)
        self._measure = measure
        self._oddest = Oddest(most)
        self._done = 0

    def begin(self) -> None:
        """Print nothing: there is nothing to show until all lines have been read."""

    def lines(self, lines: list[str]) -> int:
        """Look at lines; return how many are impossible."""
        impossible = 0
        for line, score in zip(lines, self._scorer(lines), strict=True):
            impossible += math.isinf(score.nll_nats)
            self._done += 1
            measure = self._measure.of(score, self._characters(line))
            self._oddest.add(Found(self._done, measure, score, line))
        return impossible

    def end(self) -> None:
        """Print the lines that were kept."""
        self._print_head(["line"])
        for found in self._oddest.in_order():
            self._print({"line": found.number}, found.score, found.line)
