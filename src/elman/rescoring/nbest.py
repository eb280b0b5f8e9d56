"""N-best lists: what a speech recogniser holds possible for every utterance, as tables of text.

Kaldi's n-best lists: a folder with `words_text`, `ac_cost` and `lm_cost`, a line `UTTERANCE-RANK value` each.

Costs are negated natural logarithms.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from elman.errors import RunError, TextError
from elman.files import atomic_write
from elman.text.reading import read_text

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


WORDS, ACOUSTIC, LM = "words_text", "ac_cost", "lm_cost"
V = TypeVar("V")


def read_kaldi(folder: Path, encoding: str = "utf-8") -> list[Utterance]:
    """Return the utterances of a folder, in the order of `words_text`; `lm_cost` may be missing.

    Raises:
        TextError: a file is missing or malformed, a cost is no finite number, or the keys of the files differ.
    """
    words = _read(folder / WORDS, encoding, lambda value, where: value)
    acoustic = _read(folder / ACOUSTIC, encoding, to_score)
    lm = _read(folder / LM, encoding, to_score) if (folder / LM).is_file() else None
    for costs, name in ((acoustic, ACOUSTIC), (lm, LM)):
        if costs is not None and (differ := sorted(words.keys() ^ costs.keys())):
            key = differ[0]
            which = name if key in words else WORDS
            raise TextError(f"{folder / which} lacks {key}, which the other files of the folder have")
    rows = [
        Row(
            f"{folder / WORDS}: {key}",
            key.rpartition("-")[0],
            int(key.rpartition("-")[2]),
            -acoustic[key],
            text,
        )
        for key, text in words.items()
    ]
    utterances = collect(rows, str(folder / WORDS))
    if lm is None:
        return utterances
    return [
        Utterance(u.name, tuple(replace(c, lm=-lm[f"{u.name}-{c.rank}"]) for c in u.candidates))
        for u in utterances
    ]


def _read(path: Path, encoding: str, to_value: Callable[[str, str], V]) -> dict[str, V]:
    """Return the values of a file by their keys."""
    values: dict[str, V] = {}
    for number, line in enumerate("".join(read_text(path, encoding)).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        key, *rest = line.split(maxsplit=1)
        utterance, _, rank = key.rpartition("-")
        if not utterance:
            raise TextError(f"{where}: a line begins with UTTERANCE-RANK, got {key!r}")
        key = f"{utterance}-{to_rank(rank, where)}"
        if key in values:
            raise TextError(f"{where}: {key} is there already")
        values[key] = to_value(rest[0].strip() if rest else "", where)
    return values


def write_kaldi(folder: Path, utterances: Sequence[Utterance]) -> None:
    """Write utterances to a new folder, which comes to be whole or not at all.

    `lm_cost` is written where every candidate's is known. Raises RunError where the folder exists or cannot be
    made.
    """
    if folder.exists():
        raise RunError(f"{folder} exists already; name a new folder for Kaldi's files")
    candidates = [(f"{u.name}-{c.rank}", c) for u in utterances for c in u.candidates]
    files = {
        WORDS: [f"{key} {c.text}".rstrip() for key, c in candidates],
        ACOUSTIC: [f"{key} {0.0 - c.score!r}" for key, c in candidates],
    }
    known = [(key, c.lm) for key, c in candidates if c.lm is not None]
    if len(known) == len(candidates):
        files[LM] = [f"{key} {_cost(lm)}" for key, lm in known]
    try:
        temporary = Path(tempfile.mkdtemp(dir=folder.absolute().parent, prefix=f".{folder.name}."))
        try:
            for name, lines in files.items():
                with atomic_write(temporary / name, "w", encoding="utf-8") as file:
                    file.writelines(f"{line}\n" for line in lines)
            temporary.chmod(0o777 & ~_umask())
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def _cost(ln_prob: float) -> str:
    """Return -ln P; a large finite number where P is 0, which Kaldi's programs could not read."""
    return repr(0.0 - ln_prob) if math.isfinite(ln_prob) else "1e+10"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
