"""What rescoring gives: the best candidates, all candidates, and the word error rates, each as a table."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from elman.errors import ConfigError
from elman.files import open_output
from elman.rescoring.nbest import Utterance, write_kaldi
from elman.rescoring.rescorer import reranked
from elman.rescoring.tuning import Floats, Weights
from elman.rescoring.tuning import Table as Scores
from elman.rescoring.word_errors import Result
from elman.results import Table

COLUMNS = (
    "part",
    "tuned on",
    "lambda",
    "beta",
    "utterances",
    "words",
    "first",
    "oracle",
    "rescored",
    "gain",
    "95 %",
)


class Best(NamedTuple):
    """The best candidate of an utterance."""

    utterance: str
    text: str


class Ranked(NamedTuple):
    """A candidate with its new rank; ``score`` is the total, by which it is ranked, ``lm`` its ln P by the models."""

    utterance: str
    rank: int
    score: float
    recogniser: float
    lm: float
    text: str


class BestTable(Table[Best]):
    """The best candidate of every utterance."""

    left = 2


class CandidateTable(Table[Ranked]):
    """All candidates, the best of each utterance first."""


class ErrorTable(Table[Result]):
    """Word errors of the first, the best possible (oracle) and the rescored candidates: one row per part measured."""

    left = 2

    def row_dict(self, row: Result) -> dict[str, Any]:
        """Return the columns of a result."""
        rates = {f"{name}_wer": row.rate(getattr(row, name)) for name in ("first", "oracle", "rescored")}
        values = asdict(row)
        weights, (low, high) = values.pop("weights") or {}, values.pop("interval")
        own = {"lambda": weights.get("lm"), "beta": weights.get("words")}
        return {**values, **own, **rates, "gain": row.gain, "gain_low": low, "gain_high": high}

    def text_rows(self) -> list[list[str]]:
        """Return the table as text."""
        return [list(COLUMNS), *map(_text_row, self)]


class Rescored:
    """The result of `rescore`.

    Attributes:
        best: the best candidate of every utterance: a table of ``utterance`` and ``text``.
        candidates: all candidates with their scores, re-ranked.
        results: word error rates on utterances that were not used for tuning; empty without references.
        weights: λ (``lm``) and β (``words``): those given or, after tuning, those to use for further utterances.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        scores: Scores,
        totals: Floats,
        weights: Weights,
        results: Sequence[Result] = (),
    ) -> None:
        self._ranked = reranked(utterances, scores, totals)
        self.best = BestTable([Best(u.name, u.candidates[0].text) for u in self._ranked])
        self.candidates = CandidateTable(
            [
                Ranked(
                    u.name,
                    each.rank,
                    -math.inf if each.lm == -math.inf else score,
                    each.score,
                    math.nan if each.lm is None else each.lm,
                    each.text,
                )
                for u, total in zip(self._ranked, totals, strict=True)
                for each, score in zip(
                    u.candidates, sorted(total[: len(u.candidates)].tolist(), reverse=True), strict=True
                )
            ]
        )
        self.results = ErrorTable(list(results))
        self.weights = weights

    def lines(self, write: str = "best") -> list[str]:
        """Return the best candidates, or all candidates with a header, as lines with tabs between the columns."""
        if write == "best":
            return [f"{row.utterance}\t{row.text}" for row in self.best]
        rows = (
            f"{row.utterance}\t{row.rank}\t{row.score:.4f}\t{row.recogniser:.4f}\t{row.lm:.4f}\t{row.text}"
            for row in self.candidates
        )
        return ["\t".join(Ranked._fields), *rows]

    def save(self, output: str | Path, write: str = "best") -> None:
        """Write the candidates: the ``"best"``, ``"all"`` with their scores, or all as a new folder for ``"kaldi"``.

        Raises:
            ConfigError: ``write`` is something else.
            RunError: the output cannot be written, or the folder exists.
        """
        if write not in ("best", "all", "kaldi"):
            raise ConfigError(f"`write` must be best, all or kaldi; got {write!r}")
        if write == "kaldi":
            write_kaldi(Path(output), self._ranked)
            return
        with open_output(output) as file:
            file.writelines(f"{line}\n" for line in self.lines(write))

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the columns of the best candidates."""
        return self.best.to_dict()

    def to_pandas(self) -> Any:
        """Return the best candidates as a pandas DataFrame. Raises MissingExtra where pandas is not installed."""
        return self.best.to_pandas()

    def __repr__(self) -> str:
        shown = self.results if len(self.results) else self.best
        return f"{shown!r}\n\nλ = {self.weights.lm:.4g}, β = {self.weights.words:.4g}"

    def _repr_html_(self) -> str:
        shown = self.results if len(self.results) else self.best
        return f"{shown._repr_html_()}<p>λ = {self.weights.lm:.4g}, β = {self.weights.words:.4g}</p>"


def _text_row(result: Result) -> list[str]:
    weights = (
        ("", "") if result.weights is None else (f"{result.weights.lm:.4g}", f"{result.weights.words:.4g}")
    )
    rates = (f"{result.rate(errors):.2%}" for errors in (result.first, result.oracle, result.rescored))
    low, high = result.interval
    return [
        result.part,
        result.tuned_on,
        *weights,
        f"{result.utterances:,}",
        f"{result.words:,}",
        *rates,
        f"{result.gain:.2%}",
        "-" if math.isnan(low) else f"{low:.2%} to {high:.2%}",  # too few errors to resample
    ]
