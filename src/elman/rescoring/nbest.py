"""N-best lists: what a speech recogniser holds possible for every utterance, as tables of text."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from elman.errors import TextError

COLUMNS = ("utterance", "rank", "score", "text")
_WITHOUT_HEADER = {2: ("utterance", "text"), 3: ("utterance", "score", "text")}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One text that an utterance may be, by the recogniser's rank; ``score`` and ``lm`` are natural logarithms.

    ``lm`` is the text's ln P by a language model, where one is known.
    """

    rank: int
    score: float
    text: str
    lm: float | None = None


@dataclass(frozen=True, slots=True)
class Utterance:
    """What was said once, and the candidates for it in the order of rank: one or more."""

    name: str
    candidates: tuple[Candidate, ...]


class Row(NamedTuple):
    """A candidate as it stands in a file; without a rank it follows the one before."""

    where: str
    utterance: str
    rank: int | None
    score: float
    text: str


def read_tsv(lines: Iterable[str], name: str) -> list[Utterance]:
    """Return the utterances of a table with tabs between its columns, in the file's order.

    A header names the columns: utterance and text, and if you like rank and score; others are ignored.
    Without one they are utterance, text or utterance, score, text. Without ranks the order is the rank;
    without scores every score is 0. ``name`` stands in the errors.

    Raises:
        TextError: the table is empty or malformed, a number is none, or a candidate is given twice.
    """
    return collect(_rows(lines, name), name)


def _rows(lines: Iterable[str], name: str) -> Iterator[Row]:
    columns: tuple[str, ...] | None = None
    for number, line in enumerate(lines, 1):
        where = f"{name}, line {number}"
        fields = line.split("\t")
        if not line.strip():
            continue
        if columns is None:
            columns = _columns(fields, where)
            if fields[0] == "utterance":
                continue
        if len(fields) != len(columns):
            raise TextError(
                f"{where}: {len(fields)} fields, but there must be {len(columns)} ({', '.join(columns)}), "
                "with tabs between them"
            )
        row = dict(zip(columns, fields, strict=True))
        if not row["utterance"].strip():
            raise TextError(f"{where}: the utterance has no name")
        rank = to_rank(row["rank"], where) if "rank" in row else None
        score = to_score(row["score"], where) if "score" in row else 0.0
        yield Row(where, row["utterance"].strip(), rank, score, row["text"].strip())


def _columns(fields: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the names of the columns, by the table's first line."""
    if fields[0] == "utterance":
        if "text" not in fields or len(set(fields)) < len(fields):
            raise TextError(f"{where}: the header must name {', '.join(COLUMNS)}, got {', '.join(fields)}")
        return tuple(fields)
    if len(fields) not in _WITHOUT_HEADER:
        raise TextError(
            f"{where}: {len(fields)} fields; a table without a header has 2 (utterance, text) or 3 (utterance, "
            "score, text), with tabs between them"
        )
    return _WITHOUT_HEADER[len(fields)]


def to_rank(text: str, where: str) -> int:
    """Return a rank, 1 for the best; raises TextError, which says ``where``."""
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise TextError(f"{where}: the rank must be a whole number from 1 on, got {text!r}")
    return int(text)


def to_score(text: str, where: str) -> float:
    """Return a finite number; raises TextError, which says ``where``."""
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise TextError(f"{where}: the score must be a finite number, got {text!r}")
    return score


def collect(rows: Iterable[Row], name: str) -> list[Utterance]:
    """Return rows as utterances, in the order of appearance; raises TextError for none, or one given twice."""
    found: dict[str, dict[int, Candidate]] = {}
    last = None
    for row in rows:
        if row.rank is None and row.utterance in found and row.utterance != last:
            raise TextError(
                f"{row.where}: utterance {row.utterance} comes again after others; put its candidates together, "
                "or give ranks"
            )
        candidates = found.setdefault(row.utterance, {})
        rank = row.rank or len(candidates) + 1
        if rank in candidates:
            raise TextError(f"{row.where}: utterance {row.utterance} has a candidate of rank {rank} already")
        candidates[rank] = Candidate(rank, row.score, row.text)
        last = row.utterance
    if not found:
        raise TextError(
            f"{name} holds no candidate; a line is: utterance, rank, score, text, with tabs between"
        )
    return [Utterance(key, tuple(own[rank] for rank in sorted(own))) for key, own in found.items()]


def read_references(lines: Iterable[str], name: str) -> dict[str, str]:
    """Return what was really said, by utterance; a line holds the utterance, a blank or a tab, and the words.

    Raises:
        TextError: an utterance stands there twice, or there is none.
    """
    references: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        utterance, *text = line.split(maxsplit=1) or [""]
        if not utterance:
            continue
        if utterance in references:
            raise TextError(f"{name}, line {number}: utterance {utterance} has a reference already")
        references[utterance] = text[0].strip() if text else ""
    if not references:
        raise TextError(f"{name} holds no reference; a line is: utterance, a blank, words")
    return references
