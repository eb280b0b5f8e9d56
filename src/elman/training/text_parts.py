r"""Parts of a large text that can be read apart from each other, and give the same tokens as the whole.

A file is cut where a line ends: no token, no character and no composition of Unicode reaches over a newline. That needs
an encoding in which the byte of a newline is a newline wherever it stands, as in UTF-8; a file in another encoding, a
compressed file and a CSV file (whose cells may hold newlines) is one part. A Parquet file is cut between row groups.
"""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from elman.errors import ConfigError, TextError
from elman.evaluation.sentences import open_parquet, parquet_sentences, read_sentences
from elman.text.compressed import LONGEST, as_file, is_compressed
from elman.text.folders import is_parquet
from elman.text.reading import CHUNK, check_file, read_raw
from elman.text.sources import GROUP, read_lines
from elman.text.stream import blocks_of
from elman.text.tokenizers import Tokenizer, make_tokenizer

PART = 1 << 24  # bytes of a part: some seconds of work, and what an interruption may lose
SELF_SYNCHRONISING = ("utf-8", "ascii")


class Segment(NamedTuple):
    """Lines of a file: those that begin at bytes ``first`` to ``last`` - 1, or its row groups of these numbers.

    ``last`` is None where the whole file is read; ``size`` is about its size in bytes.
    """

    path: Path
    first: int
    last: int | None
    size: int
    unit: Literal["bytes", "rows"] = "bytes"


Part = tuple[Segment, ...]  # consecutive segments


def whole(path: Path) -> Segment:
    """Return a whole file as a segment."""
    return Segment(path, 0, None, 0)


@dataclass(frozen=True)
class TextReader:
    """How to read files, in any process. ``json`` is that of a subword tokenizer.

    ``end``: see `read_pieces`. With ``column`` the files are tables, and each value is a line.
    """

    level: str
    lower: bool
    encoding: str
    errors: str
    column: str | None
    json: str = ""
    end: bool = True

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the level, made once in each process."""
        return _made_tokenizer(self.level, self.lower, self.json)

    def parts(self, files: Iterable[Path]) -> list[Part]:
        """Return the parts of files, each of about PART bytes, in order.

        Raises:
            TextError: a file cannot be read.
            ConfigError: a Parquet file needs ``column``, or has none of that name.
        """
        parts: list[Part] = []
        waiting: list[Segment] = []
        size = 0
        for path in files:
            for segment in self._segments(path):
                if waiting and size + segment.size > PART:
                    parts.append(tuple(waiting))
                    waiting, size = [], 0
                waiting.append(segment)
                size += segment.size
        return [*parts, tuple(waiting)] if waiting else parts

    def blocks(self, part: Part, tokenizer: Tokenizer | None = None) -> Iterator[str]:
        """Yield the text of a part in blocks of a tokenizer, by default its own."""
        reader = tokenizer or self.tokenizer
        for segment in part:
            encoding = self.encoding if self.column is None else "utf-8"
            yield from filter(
                None,
                blocks_of(self._raw(segment), str(segment.path), reader, encoding, self.errors, self.end),
            )

    def lines(self, part: Part) -> Iterator[str]:
        """Yield the lines of a part without their newlines, as `read_lines` yields those of a file."""
        for segment in part:
            encoding = self.encoding if self.column is None else "utf-8"
            source = as_file(self._raw(segment))
            yield from read_lines(source, encoding, self.errors)

    def _segments(self, path: Path) -> Iterator[Segment]:
        size, _ = check_file(path)
        if is_parquet(path):
            yield from self._row_groups(path)
        elif size <= PART or not self._can_be_cut(path):
            if size:
                yield Segment(path, 0, None, size)
        else:
            for first in range(0, size, PART):
                last = min(first + PART, size)
                yield Segment(path, first, last, last - first)

    def _row_groups(self, path: Path) -> Iterator[Segment]:
        if self.column is None:
            raise ConfigError(f"{path} is a Parquet file; name the column of the text: `column='text'`")
        parquet_sentences(path, self.column, row_groups=[])  # raises where there is no such column
        about = open_parquet(path).metadata
        for k in range(about.num_row_groups):
            yield Segment(path, k, k + 1, about.row_group(k).total_byte_size, "rows")

    def _can_be_cut(self, path: Path) -> bool:
        with path.open("rb") as file:
            start = file.read(LONGEST)
        try:
            known = codecs.lookup(self.encoding).name in SELF_SYNCHRONISING
        except LookupError:
            return False  # reading it says that there is no such encoding
        is_json = self.column is None or start.lstrip().startswith(b"{")
        return is_json and not is_compressed(start) and (known or self.level == "byte")

    def _raw(self, segment: Segment) -> Iterator[bytes]:
        if self.column is None:
            return read_raw(segment.path) if segment.last is None else _lines_within(segment)
        return self._column(segment, self.column)

    def _column(self, segment: Segment, column: str) -> Iterator[bytes]:
        """Yield the values of a column as lines in UTF-8."""
        source: Any = segment.path
        if segment.unit == "rows":
            sentences = parquet_sentences(
                segment.path, column, False, range(segment.first, segment.last or 0)
            )
        else:
            if segment.last is not None:
                raw = _lines_within(segment)
                start = list(islice(raw, 1))
                if not start:  # no line begins here
                    return
                source = as_file(chain(start, raw))
            sentences = read_sentences(source, column, self.encoding, self.errors, keep=False)
        lines = (f"{each.text}\n".encode("utf-8", "replace") for each in sentences)
        while group := list(islice(lines, GROUP)):
            yield b"".join(group)


@lru_cache(maxsize=1)
def _made_tokenizer(level: str, lower: bool, json: str) -> Tokenizer:
    return make_tokenizer(level, lower, json)


def _lines_within(segment: Segment) -> Iterator[bytes]:
    """Yield the lines of a file that begin within a segment of bytes. Raises TextError if it has become shorter."""
    with segment.path.open("rb") as file:
        begin = _line_from(file, segment.first)
        end = _line_from(file, segment.last or 0)
        file.seek(begin)
        while begin < end:
            chunk = file.read(min(CHUNK, end - begin))
            if not chunk:
                raise TextError(f"{segment.path} changed while being read; try again")
            yield chunk
            begin += len(chunk)


def _line_from(file: BinaryIO, offset: int) -> int:
    """Return where the first line begins at or after an offset; the end of the file if none does."""
    if offset == 0:
        return 0
    file.seek(offset - 1)
    place = offset - 1
    while chunk := file.read(1 << 16):
        if (found := chunk.find(b"\n")) >= 0:
            return place + found + 1
        place += len(chunk)
    return place
