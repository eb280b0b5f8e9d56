"""What every result has in common: `to_dict`, `to_pandas`, a readable `repr`, and HTML in a notebook."""

import html
import importlib
import json
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar, overload

from elman.errors import MissingExtra

Row = TypeVar("Row")
SURROGATE = re.compile("[\ud800-\udfff]")
SHOWN = 20  # rows of a long table in its repr


def format_table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return rows as aligned lines: the first ``left`` columns flush left, the others (numbers) flush right."""
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for k, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - display_width(cell))
            cells.append(cell + space if k < left else space + cell)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def display_width(text: str) -> int:
    """Return how many columns of a terminal a text takes: Hangul and other wide characters take two each.

    >>> display_width("word"), display_width("단어")
    (4, 4)
    """
    return len(text) if text.isascii() else len(text) + sum(map(_is_wide, text))


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def html_table(rows: Sequence[Sequence[str]], left: int = 1, head: bool = True) -> str:
    """Return rows as an HTML table, aligned like `format_table`; with ``head`` the first row is the heading."""
    parts = ["<table>"]
    for number, row in enumerate(rows):
        tag = "th" if head and number == 0 else "td"
        sides = ["left" if k < left else "right" for k in range(len(row))]
        cells = (
            f'<{tag} style="text-align:{side};white-space:nowrap">{html.escape(cell)}</{tag}>'
            for side, cell in zip(sides, row, strict=True)
        )
        parts.append(f"<tr>{''.join(cells)}</tr>")
    return "".join([*parts, "</table>"])


def html_text(text: str) -> str:
    """Return lines of text as HTML that keeps their columns aligned, whatever font the page has for them."""
    return f'<pre style="font-family:monospace">{html.escape(text)}</pre>'


def to_json(values: Any) -> str:
    """Return one line of JSON; infinities and NaN, which JSON cannot hold, become null.

    Lone surrogates, as in file names that are not UTF-8, are escaped, so that the line is valid UTF-8.
    """
    text = json.dumps(_finite(values), ensure_ascii=False)
    return SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_row(row: Any) -> dict[str, Any]:
    """Return a dataclass or named tuple as a dictionary."""
    if is_dataclass(row):
        return {each.name: getattr(row, each.name) for each in fields(row)}
    return dict(row._asdict())


class Table(Sequence[Row], Generic[Row]):
    """A result with one typed row per word, line or model: a sequence of its rows.

    Subclasses may define `row_dict` (the columns of a row), `text_rows` (what people see), `notes`, and ``left``, how
    many columns are text and flush left.
    """

    left = 1

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = tuple(rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def row_dict(self, row: Row) -> dict[str, Any]:
        """Return the columns of a row with their values."""
        return as_row(row)

    def text_rows(self) -> list[list[str]]:
        """Return the table as text: the names of the columns, then the rows."""
        columns = self.to_dict()
        return [list(columns), *(list(map(show, values)) for values in zip(*columns.values(), strict=True))]

    def notes(self) -> str:
        """Return what defines the numbers, as text; empty if the names say it."""
        return ""

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the columns: a list of values for each name."""
        rows = [self.row_dict(row) for row in self.rows]
        return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame, one row per row. Raises MissingExtra where pandas is not installed."""
        return pandas().DataFrame(self.to_dict())

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return the table for any program that reads Arrow streams, such as polars; needs pyarrow."""
        try:
            arrow = importlib.import_module("pyarrow")
        except ModuleNotFoundError as error:
            raise MissingExtra("pyarrow", "pandas") from error
        return arrow.table(self.to_dict()).__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        rows = self.text_rows()
        shown = rows if len(rows) <= SHOWN + 1 else [*rows[: SHOWN + 1], ["…"] + [""] * (len(rows[0]) - 1)]
        more = f"\n[{len(self):,} rows]" if len(shown) < len(rows) else ""
        notes = self.notes()
        return format_table(shown, self.left) + more + (f"\n\n{notes}" if notes else "")

    def _repr_html_(self) -> str:
        rows = self.text_rows()
        notes = self.notes()
        more = f"<p>{len(self):,} rows, the first {SHOWN} are shown</p>" if len(self) > SHOWN else ""
        return html_table(rows[: SHOWN + 1], self.left) + more + (html_text(notes) if notes else "")


def show(value: Any) -> str:
    """Return a value as a short text."""
    if isinstance(value, float):
        return f"{value:.4f}" if math.isfinite(value) and (value == 0 or abs(value) >= 1e-4) else f"{value:g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)


def pandas() -> Any:
    """Return the module pandas. Raises MissingExtra where it is not installed."""
    try:
        return importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        raise MissingExtra("pandas", "pandas") from error
