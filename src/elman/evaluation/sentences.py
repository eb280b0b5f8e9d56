"""Sentences from whatever holds them: a text, a list, a file of lines, a CSV file, a DataFrame.

A sentence of a table keeps the other columns of its row.
"""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, cast

from elman.errors import ConfigError, TextError
from elman.text.sources import Text, read_lines, text_name

NEWLINE = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Sentence:
    """A sentence and the other columns of its row, if it comes from a table."""

    text: str
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sentences:
    """Sentences, which can be read once, and the names of the columns that they keep."""

    sentences: Iterator[Sentence]
    columns: tuple[str, ...] = ()


def read_sentences(text: Text | Any, column: str | None = None, encoding: str = "utf-8") -> Sentences:
    """Return the sentences of a text.

    Args:
        text: a str is one text, and its lines are sentences. A Path or a binary stream holds a sentence in each
            line; any other iterable gives one sentence at a time. With ``column``, a str is a path, too, and the file
            is a CSV file, or TSV if there is a tab in its first line. A table (such as a pandas DataFrame, or a
            dictionary of columns) needs ``column``.
        column: the column of the sentences; each sentence keeps the others.
        encoding: of a file or a binary stream.

    Raises:
        TextError: the file cannot be read, or is no table with that column.
        ConfigError: the column is missing where it is needed, or holds something else than str.
    """
    if isinstance(text, Mapping) or hasattr(text, "columns"):
        return _of_table(text, column)
    if column is not None:
        return _of_csv(text, column, encoding)
    if isinstance(text, str):
        lines = NEWLINE.split(text)
        return Sentences(map(Sentence, lines[:-1] if len(lines) > 1 and not lines[-1] else lines))
    return Sentences(map(Sentence, read_lines(text, encoding)))


def _of_table(table: Any, column: str | None) -> Sentences:
    names = list(table if isinstance(table, Mapping) else table.columns)
    if column is None:
        shown = ", ".join(map(repr, names))
        raise ConfigError(f"name the column of the sentences: `column={names[0]!r}`; the table has {shown}")
    others = _other_columns(names, column, "the table")
    columns = [list(table[name]) for name in others]

    def sentences() -> Iterator[Sentence]:
        for number, sentence in enumerate(table[column]):
            if not isinstance(sentence, str):
                raise ConfigError(f"row {number + 1} of column {column!r} must be a str, got {sentence!r}")
            kept = {name: values[number] for name, values in zip(others, columns, strict=True)}
            yield Sentence(sentence, kept)

    return Sentences(sentences(), tuple(others))


def _of_csv(text: Text, column: str, encoding: str) -> Sentences:
    name = text_name(text)
    lines = read_lines(Path(text) if isinstance(text, (str, os.PathLike)) else text, encoding)
    first = next(lines, "")
    rows = csv.reader(_with_newlines(chain([first], lines)), delimiter="\t" if "\t" in first else ",")
    head = next(_checked(rows, name), [])
    others = _other_columns(head, column, name)
    place = head.index(column)

    def sentences() -> Iterator[Sentence]:
        for row in _checked(rows, name):
            if len(row) != len(head):
                raise TextError(
                    f"{name}, line {rows.line_num}: {len(row)} columns, but {len(head)} in the first line"
                )
            values = dict(zip(head, row, strict=True))
            yield Sentence(row[place], {other: values[other] for other in others})

    return Sentences(sentences(), tuple(others))


def _with_newlines(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines as the module csv wants them: a cell in quotes may hold a newline."""
    return (f"{line}\n" for line in lines)


def _checked(rows: Any, name: str) -> Iterator[list[str]]:
    """Yield the rows of a CSV file that are not empty. Raises TextError for what is no CSV."""
    try:
        yield from filter(None, cast(Iterator[list[str]], rows))
    except csv.Error as error:
        raise TextError(f"{name}, line {rows.line_num} cannot be read as CSV: {error}") from error


def _other_columns(names: Sequence[str], column: str, where: str) -> list[str]:
    """Return the columns besides that of the sentences. Raises ConfigError where it is missing or not unique."""
    if column not in names:
        shown = ", ".join(map(repr, names)) or "none"
        raise ConfigError(f"{where} has no column {column!r}; its columns: {shown}")
    if len(set(names)) < len(names):
        raise ConfigError(f"{where} has two columns of one name: {', '.join(map(repr, names))}; rename one")
    return [name for name in names if name != column]
