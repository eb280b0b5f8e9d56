"""Scores of the lines of a text as rows: streamed or in a table, per line or per token, all lines or the oddest."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, Literal, TypeAlias

from elman.errors import ConfigError
from elman.evaluation.line_measures import NATS, LeastProbableLines, Measure, Per, ScoredLine, Unit
from elman.evaluation.line_scores import CarriedLines, LineScore, score_lines
from elman.evaluation.sentences import Sentence, read_sentences
from elman.evaluation.surprisal import TokenReader, TokenScore, printable
from elman.evaluation.surprisal_table import check_kept, warn_of_zero_probability
from elman.evaluation.unknown_tokens import count_unknown, warn_of_unknown
from elman.models.tokenized import TokenizedModel
from elman.results import Table
from elman.text.sources import Text

StateRule = Literal["reset", "carry"]


Row: TypeAlias = ScoredLine | TokenScore
TOKEN_COLUMNS = ("line", "token", "surprisal_bits", "rank", "unknown", "start", "end", "entropy_bits")
IN_BITS = ("surprisal_bits", "entropy_bits")


@dataclass(frozen=True)
class Layout:
    """The columns of rows: their ``names``, and the measures of a line or the unit of a token that they show."""

    names: tuple[str, ...]
    measures: tuple[Measure, ...] = ()
    unit: Unit = "bits"

    @classmethod
    def of_tokens(cls, unit: Unit, kept: tuple[str, ...]) -> "Layout":
        """Return the columns of `TokenScore`."""
        return cls((*(_in_unit(name, unit) for name in TOKEN_COLUMNS), *kept), unit=unit)

    @classmethod
    def of_lines(cls, measures: tuple[Measure, ...], numbered: bool, kept: tuple[str, ...]) -> "Layout":
        """Return the columns of `ScoredLine`, with the number of the line if ``numbered``."""
        characters = ["characters"] if any(measure.per == "char" for measure in measures) else []
        first = ["line"] if numbered else []
        names = [measure.name for measure in measures]
        return cls((*first, *names, "perplexity", "tokens", *characters, "unknown", "text", *kept), measures)

    def row_dict(self, row: Row) -> dict[str, Any]:
        """Return a row as a dictionary by the ``names``."""
        if isinstance(row, TokenScore):
            values = {_in_unit(name, self.unit): getattr(row, name) for name in TOKEN_COLUMNS[1:]}
            factor = NATS["bits"] / NATS[self.unit]
            in_unit = {_in_unit(name, self.unit): factor * getattr(row, name) for name in IN_BITS}
            return {"line": row.sentence} | values | in_unit | dict(row.kept)
        values = {measure.name: measure.of(row, row.characters) for measure in self.measures} | dict(row.kept)
        return {name: values[name] if name in values else getattr(row, name) for name in self.names}


def _in_unit(name: str, unit: Unit) -> str:
    return name.replace("_bits", f"_{unit}")


class ScoreStream(Iterator[Row]):
    """The scores of the lines of a text, or of its tokens, as they arrive: memory does not grow with the text.

    The arguments are those of `elman.TextModel.score_lines`. ``layout`` has the columns of the rows; the last of them,
    ``kept``, are other columns of the table that the lines come from.
    With ``top`` the rows follow when all lines have been read, or when reading ends by an exception. Lines of
    probability 0 are logged at the end.

    Raises:
        ConfigError: an argument is not one of the choices, two of them contradict each other, or the table lacks the
            column, or has one with the name of a column here.
        TextError: the text cannot be read.
    """

    def __init__(
        self,
        text_model: TokenizedModel,
        text: Text | Any,
        *,
        column: str | None = None,
        per_token: bool = False,
        top: int | None = None,
        unit: Unit | None = None,
        normalize: Per | None = None,
        state: StateRule = "reset",
        encoding: str = "utf-8",
        errors: str = "strict",
    ) -> None:
        _check(per_token, top, unit, normalize, state)
        self._text_model = text_model
        sentences = read_sentences(text, column, encoding, errors, text_model.tokenizer, str_is_path=True)
        groups, self.kept = sentences.groups, sentences.columns
        carry = state == "carry"
        if per_token:
            self.layout = Layout.of_tokens(unit or "bits", self.kept)
            self._rows: Iterator[Row] = self._tokens(groups, carry)
        else:
            self.layout = Layout.of_lines(_measures(unit, normalize, top), top is not None, self.kept)
            lines = self._lines(
                groups, CarriedLines(text_model).score if carry else partial(score_lines, text_model)
            )
            self._rows = lines if top is None else self._least_probable(lines, top)
        check_kept(self.layout.names, self.kept)

    def __next__(self) -> Row:
        return next(self._rows)

    def _lines(
        self,
        groups: Iterable[list[Sentence]],
        scorer: Callable[[Iterable[str]], Iterator[LineScore]],
    ) -> Iterator[ScoredLine]:
        zero = unknown = tokens = 0
        as_bytes = self._text_model.unit == "byte"
        for group in groups:
            scores = scorer([line.text for line in group])
            for (number, text, kept), score in zip(group, scores, strict=True):
                zero += math.isinf(score.nll_nats)
                tokens += score.tokens
                unknown += count_unknown(self._text_model, score.unknown, text)
                characters = len(text) + self._text_model.predicts_end(text)
                shown = printable(text) if as_bytes else text
                yield ScoredLine(score.tokens, score.unknown, score.nll_nats, number, characters, shown, kept)
        warn_of_zero_probability(zero)
        warn_of_unknown(self._text_model, unknown, tokens)

    def _least_probable(self, lines: Iterator[ScoredLine], top: int) -> Iterator[ScoredLine]:
        kept = LeastProbableLines(top)
        try:
            for row in lines:
                kept.add(self.layout.measures[0].of(row, row.characters), row)
        except BaseException:  # Ctrl-C, too, which ends a log that is being followed
            yield from kept.in_order()
            raise
        yield from kept.in_order()

    def _tokens(self, groups: Iterable[list[Sentence]], carry: bool) -> Iterator[TokenScore]:
        carried = TokenReader(self._text_model) if carry else None
        zero = unknown = tokens = 0
        unk = self._text_model.vocabulary.unk
        for number, text, kept in chain.from_iterable(groups):
            possible = True
            for score in (carried or TokenReader(self._text_model)).read(text):
                possible &= math.isfinite(score.surprisal_bits)
                tokens += 1
                unknown += score.unknown and score.token != unk
                token = self._text_model.tokenizer.readable(score.token)
                yield replace(score, token=token, sentence=number, kept=kept)
            zero += not possible
        warn_of_zero_probability(zero)
        warn_of_unknown(self._text_model, unknown, tokens)


CHOICES: dict[str, tuple[str | None, ...]] = {
    "unit": (None, *NATS),
    "normalize": (None, "none", "token", "char"),
    "state": ("reset", "carry"),
}


def _check(per_token: bool, top: int | None, unit: str | None, normalize: str | None, state: str) -> None:
    """Raise ConfigError where an argument is not one of the choices, or where two contradict each other."""
    for name, value in (("unit", unit), ("normalize", normalize), ("state", state)):
        if value not in CHOICES[name]:
            raise ConfigError(f"`{name}` must be one of {', '.join(map(str, CHOICES[name]))}, got {value!r}")
    if top is not None and top < 1:
        raise ConfigError(f"`top` must be ≥ 1, or None for all lines; got {top}")
    for name, given in (("top", top is not None), ("normalize", normalize is not None)):
        if per_token and given:
            raise ConfigError(f"`per_token` and `{name}` cannot be used together; leave one out")


def _measures(unit: Unit | None, normalize: Per | None, top: int | None) -> tuple[Measure, ...]:
    """Return the measures of a line: nats and log10 unless one is given or, with ``top``, needed for the order."""
    if unit is None and normalize is None and top is None:
        return Measure("nats"), Measure("log10")
    return (Measure(unit or "nats", normalize or ("none" if top is None else "token")),)


def visible(token: str, is_byte: bool) -> str:
    """Return a token for a table: unprintable characters and single bytes of a character as escapes."""
    if token.isascii() or not is_byte:
        return token if token.isprintable() else token.encode("unicode_escape").decode()
    return f"\\x{ord(token):02x}"


class ScoreTable(Table[Row]):
    """The scores of the lines of a text, or of its tokens: the rows of a `ScoreStream` to the end."""

    def __init__(self, stream: ScoreStream) -> None:
        super().__init__(tuple(stream))
        self._layout = stream.layout

    def row_dict(self, row: Row) -> dict[str, Any]:
        """Return the columns of a row with their values."""
        return self._layout.row_dict(row)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the columns: a list of values for each name."""
        return super().to_dict() or {name: [] for name in self._layout.names}
