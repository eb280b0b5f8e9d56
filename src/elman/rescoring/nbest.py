"""N-best lists: a speech recogniser's candidates for every utterance, read from tables of text or Kaldi folders.

A Kaldi folder has the files `words_text`, `ac_cost` and `lm_cost` with lines `UTTERANCE-RANK value`; costs are negative
natural logarithms.
"""

import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from elman.errors import RunError, TextError
from elman.files import atomic_write, umask
from elman.text.reading import read_text

COLUMNS = ("utterance", "rank", "score", "text")
_WITHOUT_HEADER = {2: ("utterance", "text"), 3: ("utterance", "score", "text")}
WORDS, ACOUSTIC, LM = "words_text", "ac_cost", "lm_cost"  # the files of a Kaldi folder
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate text of an utterance with the recogniser's rank; ``score`` and ``lm`` are natural logarithms.

    ``lm`` is the text's ln P by a language model, None if not known.
    """

    rank: int
    score: float
    text: str
    lm: float | None = None


@dataclass(frozen=True, slots=True)
class Utterance:
    """A spoken utterance and its candidates, one or more, in the order of rank."""

    name: str
    candidates: tuple[Candidate, ...]


class Row(NamedTuple):
    """A candidate as read from a file; without a rank it follows the one before."""

    where: str
    utterance: str
    rank: int | None
    score: float
    text: str


def read_tsv(lines: Iterable[str], name: str) -> list[Utterance]:
    """Return the utterances of a table with tab-separated columns, in the file's order.

    A header names the columns: utterance and text, optionally rank and score; others are ignored. Without a header
    the columns are utterance, text or utterance, score, text. Without ranks the order is the rank; without scores
    every score is 0. Errors call the table ``name``.

    Raises:
        TextError: the table is empty or malformed, a number is invalid, or a candidate is given twice.
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
    """Return the names of the columns, derived from the table's first line."""
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
    """Return a rank, 1 for the best. Raises TextError, naming the location ``where``, for an invalid one."""
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise TextError(f"{where}: the rank must be an integer ≥ 1, got {text!r}")
    return int(text)


def to_score(text: str, where: str) -> float:
    """Return a finite number. Raises TextError, naming the location ``where``, for an invalid one."""
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise TextError(f"{where}: the score must be a finite number, got {text!r}")
    return score


def collect(rows: Iterable[Row], name: str) -> list[Utterance]:
    """Group rows into utterances, in order of appearance. Raises TextError for no rows or a repeated candidate."""
    found: dict[str, dict[int, Candidate]] = {}
    last = None
    for row in rows:
        if row.rank is None and row.utterance in found and row.utterance != last:
            raise TextError(
                f"{row.where}: utterance {row.utterance} appears again after others; keep its candidates together, "
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
            f"{name} holds no candidate; write lines of utterance, rank, score and text, separated by tabs"
        )
    return [Utterance(key, tuple(own[rank] for rank in sorted(own))) for key, own in found.items()]


def read_references(lines: Iterable[str], name: str) -> dict[str, str]:
    """Return the reference text of each utterance; a line holds the utterance's name, whitespace, and the words.

    Raises:
        TextError: an utterance occurs twice, or there is none.
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
        raise TextError(f"{name} holds no reference; write lines of utterance, space, words")
    return references


def read_kaldi(folder: Path, encoding: str = "utf-8") -> list[Utterance]:
    """Return the utterances of a Kaldi folder, in the order of `words_text`; `lm_cost` may be missing.

    Raises:
        TextError: a file is missing or malformed, a cost is not a finite number, or the keys of the files differ.
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
    """Return the values of a Kaldi file by their keys."""
    values: dict[str, V] = {}
    for number, line in enumerate("".join(read_text(path, encoding)).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        key, *rest = line.split(maxsplit=1)
        utterance, _, rank = key.rpartition("-")
        if not utterance:
            raise TextError(f"{where}: a line must begin with UTTERANCE-RANK, got {key!r}")
        key = f"{utterance}-{to_rank(rank, where)}"
        if key in values:
            raise TextError(f"{where}: {key} appears a second time")
        values[key] = to_value(rest[0].strip() if rest else "", where)
    return values


def write_kaldi(folder: Path, utterances: Sequence[Utterance]) -> None:
    """Write utterances to a new Kaldi folder, which appears complete or not at all.

    `lm_cost` is written if it is known for every candidate. Raises RunError if the folder exists or cannot be created.
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
            temporary.chmod(0o777 & ~umask())
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def _cost(ln_prob: float) -> str:
    """Return -ln P as text; a large finite number if P is 0, because Kaldi's programs cannot read infinity."""
    return repr(0.0 - ln_prob) if math.isfinite(ln_prob) else "1e+10"
