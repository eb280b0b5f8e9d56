"""Minimal pairs as they come in files: BLiMP's JSON Lines, or two columns."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from elman.errors import TextError

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
GOOD, BAD = "sentence_good", "sentence_bad"
SETS = ("UID", "phenomenon")  # the fields that name a pair's set, the first that is there
HEADERS = ((GOOD, BAD), ("good", "bad"))


@dataclass(frozen=True)
class Pair:
    """Two sentences that differ in little, of which the first is right; ``set`` names what they belong to."""

    good: str
    bad: str
    set: str
    line: int = 0


def read_pairs(lines: Iterable[str], name: str, by: str | None = None) -> Iterator[Pair]:
    """Yield the pairs in the lines of a file called ``name``; blank lines are passed over.

    A name ending in .jsonl, .ndjson or .json, or a first line that begins with a brace, tells of JSON Lines: objects
    with ``sentence_good`` and ``sentence_bad`` as in BLiMP (A. Warstadt and others, 2020). Else each line is a right
    sentence, a tab and a wrong one; a first line ``good<TAB>bad``, or with BLiMP's names, is a header. The set of a
    pair is what its field ``by`` says; without ``by``, its ``UID`` or ``phenomenon``, or else the file's name.

    Raises:
        TextError: a line is no pair, or has no field ``by``; there is no pair at all.
    """
    stem = Path(name).stem or name
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    first = next(numbered, None)
    as_json = name.lower().endswith(JSON_SUFFIXES) or (
        first is not None and first[1].lstrip().startswith("{")
    )
    if first is not None and not as_json and tuple(map(str.strip, first[1].split("\t"))) in HEADERS:
        first = next(numbered, None)
    if first is None:
        raise TextError(f"{name} holds no pair of sentences")
    for number, line in chain([first], numbered):
        where = f"{name}: line {number}"
        good, bad, of_set = _from_json(line, where, by) if as_json else _from_columns(line, where, by)
        yield Pair(_checked(good, where), _checked(bad, where), of_set or stem, number)


def _from_json(line: str, where: str, by: str | None) -> tuple[Any, Any, str | None]:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TextError(f"{where} is no JSON ({error}); one object a line is expected") from error
    if not isinstance(given, dict):
        raise TextError(f'{where} is no JSON object; write {{"{GOOD}": "...", "{BAD}": "..."}}')
    wanted = (GOOD, BAD, by) if by is not None else (GOOD, BAD)
    for field in wanted:
        if field not in given:
            raise TextError(f"{where} has no field {field!r}; it has {', '.join(given) or 'none'}")
    named = given[by] if by is not None else next((given[field] for field in SETS if field in given), None)
    return given[GOOD], given[BAD], None if named is None else str(named)


def _from_columns(line: str, where: str, by: str | None) -> tuple[str, str, None]:
    if by is not None:
        raise TextError(
            f"{where} is not JSON, and has no field {by!r}; leave --by out: a file is one set then"
        )
    cells = line.split("\t")
    if len(cells) != 2:
        columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
        raise TextError(f"{where} has {columns}; a right sentence, a tab and a wrong one are expected")
    return cells[0], cells[1], None


def _checked(sentence: Any, where: str) -> str:
    """Return a sentence; raise TextError for what is none, or more than one line."""
    if not isinstance(sentence, str) or not sentence.strip():
        raise TextError(f"{where}: a sentence is expected, got {sentence!r}")
    if sentence.splitlines() != [sentence]:
        raise TextError(f"{where}: a sentence must stand on one line, got {sentence!r}")
    try:
        sentence.encode()
    except UnicodeEncodeError as error:
        raise TextError(f"{where}: {sentence!r} holds half a character (a lone surrogate)") from error
    return sentence
