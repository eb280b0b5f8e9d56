"""Sentences from whatever holds them: a text, a list, a file of lines, a CSV, JSON Lines or Parquet file, a DataFrame.

A sentence of a table keeps the other columns of its row.
"""

import csv
import importlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, NamedTuple, cast

from elman.errors import ConfigError, MissingExtra, TextError
from elman.parsing import parse_json, parsing
from elman.text.folders import is_parquet
from elman.text.reading import check_errors
from elman.text.sources import (
    GROUP,
    PLAIN,
    Text,
    is_binary,
    read_line_groups,
    read_lines,
    text_name,
    warn_of_table,
)
from elman.text.tokenizers import ByteTokenizer, Tokenizer

NEWLINE = re.compile(r"\r\n|\r|\n")
ROWS = 1 << 13  # of a Parquet file that are read together
NOTHING: Mapping[str, Any] = {}  # never changed; can be pickled


class Sentence(NamedTuple):
    """A sentence, its number (of its line or row, from 1), and the other columns of its row, if it is of a table."""

    number: int
    text: str
    kept: Mapping[str, Any] = NOTHING


@dataclass(frozen=True)
class Sentences:
    """Sentences in groups that have arrived together, which can be read once; the names of the columns they keep."""

    groups: Iterable[list[Sentence]]
    columns: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Sentence]:
        return chain.from_iterable(self.groups)


def read_sentences(
    text: Text | Any,
    column: str | None = None,
    encoding: str = "utf-8",
    errors: str = "strict",
    tokenizer: Tokenizer = PLAIN,
    str_is_path: bool = False,
    keep: bool = True,
) -> Sentences:
    """Return the sentences of a text.

    Args:
        text: a str is one text, and its lines are sentences. A Path or a binary stream holds a sentence in each
            line; any other iterable gives one sentence at a time. With ``column``, a str is a path, too, and the file
            is a Parquet file, or one of JSON objects, one in a line, if its first line is a JSON object, else a TSV
            file, if there is a tab in its first line, else a CSV file. A table (such as a pandas DataFrame, a
            dictionary of columns, or anything of pyarrow with batches) needs ``column``, and so does an iterable of
            rows (dictionaries) or of pyarrow's batches, which is read as it arrives.
        column: the column of the sentences; each sentence keeps the others.
        encoding: of a file or a binary stream.
        errors: what happens to a line that is not in the encoding; see `read_line_groups`.
        tokenizer: of the model that reads the sentences.
        str_is_path: a str is a path.
        keep: False where the other columns are not needed: batches are then read without them.

    Raises:
        TextError: the file cannot be read, or is no table with that column.
        ConfigError: the column is missing where it is needed, or holds something else than str.
        MissingExtra: it is a Parquet file, and pyarrow is not installed.
    """
    check_errors(errors)
    if hasattr(text, "to_batches"):  # a Table or Dataset of pyarrow
        return _of_rows(text.to_batches(), column, keep)
    if isinstance(text, Mapping) or hasattr(text, "columns"):
        return _of_table(text, column)
    if column is not None:
        if isinstance(text, (str, os.PathLike)):
            if is_parquet(Path(text)):
                return parquet_sentences(Path(text), column, keep)
        elif not is_binary(text):
            return _of_lines_or_rows(iter(cast(Iterable[Any], text)), column, encoding, errors, keep)
        return _of_file(text, column, encoding, errors)
    if isinstance(text, bytes):
        text = tokenizer.prepare(text)
    if isinstance(text, str) and not str_is_path:
        lines = text.split("\n") if isinstance(tokenizer, ByteTokenizer) else NEWLINE.split(text)
        lines = lines[:-1] if len(lines) > 1 and not lines[-1] else lines
        return Sentences([list(map(Sentence, range(1, len(lines) + 1), lines))])
    warn_of_table(text)
    groups = read_line_groups(text, encoding, errors, tokenizer)
    return Sentences([Sentence(*line) for line in group] for group in groups)


def _in_groups(sentences: Iterator[Sentence]) -> Iterator[list[Sentence]]:
    return iter(lambda: list(islice(sentences, GROUP)), [])


def _of_table(table: Any, column: str | None) -> Sentences:
    names = list(table if isinstance(table, Mapping) else table.columns)
    if column is None:
        raise _no_column(names)
    others = _other_columns(names, column, "the table")
    columns = [list(table[name]) for name in others]

    def sentences() -> Iterator[Sentence]:
        for number, sentence in enumerate(table[column]):
            if not isinstance(sentence, str):
                raise ConfigError(f"row {number + 1} of column {column!r} must be a str, got {sentence!r}")
            kept = {name: values[number] for name, values in zip(others, columns, strict=True)}
            yield Sentence(number + 1, sentence, kept)

    return Sentences(_in_groups(sentences()), tuple(others))


def _no_column(names: Sequence[str]) -> ConfigError:
    shown = ", ".join(map(repr, names))
    return ConfigError(f"name the column of the sentences: `column={names[0]!r}`; the table has {shown}")


def _of_lines_or_rows(items: Iterator[Any], column: str, encoding: str, errors: str, keep: bool) -> Sentences:
    """Return the sentences of an iterable, whose first item shows whether it holds the lines of a file or rows."""
    first = list(islice(items, 1))
    if not first or isinstance(first[0], (str, bytes)):
        return _of_file(chain(first, items), column, encoding, errors)
    return _of_rows(chain(first, items), column, keep)


def _of_rows(items: Iterable[Any], column: str | None, keep: bool) -> Sentences:
    """Return the sentences of rows (dictionaries), or of batches of pyarrow; the columns are those of the first."""
    items = iter(items)
    first = next(items, None)
    if first is None:
        return Sentences([])
    if not isinstance(first, Mapping) and not hasattr(first, "schema"):
        raise ConfigError(f"the items must be lines or rows of a table, got {type(first).__name__}")
    names = list(first) if isinstance(first, Mapping) else list(first.schema.names)
    if column is None:
        raise _no_column(names)
    others = _other_columns(names, column, "the table")
    others = others if keep else []
    rows = chain.from_iterable(map(_rows_of, chain([first], items), repeat(column), repeat(others)))
    return Sentences(_in_groups(_sentences_of(rows, column, 1, "the table")), tuple(others))


def parquet_sentences(
    path: Path, column: str, keep: bool = True, row_groups: Sequence[int] | None = None
) -> Sentences:
    """Return the sentences of a Parquet file, or of some consecutive row groups of it, a batch of rows at a time.

    Raises:
        TextError: the file is damaged.
        ConfigError: there is no such column, or it holds something else than str.
        MissingExtra: pyarrow is not installed.
    """
    file = open_parquet(path)
    names = file.schema_arrow.names
    others = _other_columns(names, column, str(path))
    others = others if keep else []
    groups = list(range(file.num_row_groups)) if row_groups is None else list(row_groups)
    number = 1 + sum(file.metadata.row_group(k).num_rows for k in range(groups[0] if groups else 0))

    def rows() -> Iterator[tuple[Any, Mapping[str, Any]]]:
        with parsing(path, TextError, "is a damaged Parquet file"):
            for batch in file.iter_batches(ROWS, groups, [column, *others]):
                yield from _rows_of(batch, column, others)

    return Sentences(_in_groups(_sentences_of(rows(), column, number, str(path))), tuple(others))


def open_parquet(path: Path) -> Any:
    """Return a Parquet file of pyarrow. Raises TextError for a damaged one, MissingExtra without pyarrow."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    with parsing(path, TextError, "is a damaged Parquet file"):
        return parquet.ParquetFile(path)


def _rows_of(item: Any, column: str, others: Sequence[str]) -> Iterable[tuple[Any, Mapping[str, Any]]]:
    """Return the text and the other columns of a row, or of every row of a batch."""
    if isinstance(item, Mapping):
        return [(item.get(column), {name: item.get(name) for name in others})]
    texts = item.column(column).to_pylist()
    if not others:
        return zip(texts, repeat(NOTHING))
    columns = [item.column(name).to_pylist() for name in others]
    kept = (dict(zip(others, values, strict=True)) for values in zip(*columns, strict=True))
    return zip(texts, kept, strict=True)


def _sentences_of(
    rows: Iterable[tuple[Any, Mapping[str, Any]]], column: str, first: int, where: str
) -> Iterator[Sentence]:
    for number, (sentence, kept) in enumerate(rows, first):
        if not isinstance(sentence, str):
            raise ConfigError(f"{where}: row {number} of column {column!r} must be a str, got {sentence!r}")
        yield Sentence(number, sentence, kept)


def _of_file(text: Text, column: str, encoding: str, errors: str) -> Sentences:
    name = text_name(text)
    lines = read_lines(Path(text) if isinstance(text, (str, os.PathLike)) else text, encoding, errors)
    first = next(lines, "")
    if first.lstrip().startswith("{"):
        return _of_json_lines(chain([first], lines), column, name)
    return _of_csv(first, lines, column, name)


def _of_json_lines(lines: Iterable[str], column: str, name: str) -> Sentences:
    """Return the sentences of JSON objects, one in a line; the columns are those of the first object."""
    rows = ((number, _object(line, f"{name}, line {number}")) for number, line in enumerate(lines, 1) if line)
    first_number, first = next(rows)
    others = _other_columns(list(first), column, name)

    def sentences() -> Iterator[Sentence]:
        for number, row in chain([(first_number, first)], rows):
            where = f"{name}, line {number}"
            if column not in row:
                raise TextError(f"{where} has no field {column!r}; it has {', '.join(row) or 'none'}")
            if not isinstance(row[column], str):
                raise TextError(f"{where}: the field {column!r} must be a string, got {row[column]!r}")
            yield Sentence(number, row[column], {other: row.get(other) for other in others})

    return Sentences(_in_groups(sentences()), tuple(others))


def _object(line: str, where: str) -> dict[str, Any]:
    row = parse_json(line, where, TextError, "write one object per line")
    if not isinstance(row, dict):
        raise TextError(f"{where} is not a JSON object")
    return row


def _of_csv(first: str, lines: Iterator[str], column: str, name: str) -> Sentences:
    rows = csv.reader(_with_newlines(chain([first], lines)), delimiter="\t" if "\t" in first else ",")
    head = next(_checked(rows, name), [])
    others = _other_columns(head, column, name)
    place = head.index(column)

    def sentences() -> Iterator[Sentence]:
        for number, row in enumerate(_checked(rows, name), 1):
            if len(row) != len(head):
                raise TextError(
                    f"{name}, line {rows.line_num}: {len(row)} columns, but {len(head)} in the first line"
                )
            values = dict(zip(head, row, strict=True))
            yield Sentence(number, row[place], {other: values[other] for other in others})

    return Sentences(_in_groups(sentences()), tuple(others))


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
