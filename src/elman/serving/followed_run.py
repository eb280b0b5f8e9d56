"""The metrics of a run, which grow while it is trained: a request reads what is new, in answers of bounded size."""

import os
import threading
from array import array
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from elman.errors import RunError
from elman.formats.metrics_log import checked_event
from elman.parsing import parse_json

PART = 1 << 20  # bytes read at once
ANSWER_BYTES = 1 << 20  # of lines in one answer; a longer line is an answer of its own
MARK = 64  # bytes before the end of what was read, by which a file that was written anew is known


class FollowedRun:
    """The lines of a run's metrics by number. The places of the lines are kept; only what is new is searched for them.

    A last line without its newline is one that is being written, or that a crash cut; it does not count.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.jsonl"
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._ends = array("Q")  # the byte after each line
        self._mark = b""  # the last bytes before the end of the last line
        self._file_id = 0

    def lines(self, after: int) -> tuple[list[dict[str, Any]], int, bool]:
        """Return lines from number ``after`` on, the number after the last of them, and whether there are more.

        After the end, the number is that of the file's lines: fewer than ``after`` if the run was started again.

        Raises:
            RunError: the file cannot be read, or one of these lines is damaged.
        """
        with self._lock:
            try:
                with self.path.open("rb") as file:
                    self._find_lines(file)
                    return self._read(file, min(after, len(self._ends)))
            except OSError as error:
                raise RunError(f"cannot read {self.path}: {error.strerror or error}") from error

    def _find_lines(self, file: BinaryIO) -> None:
        """Find the ends of the lines that were added since the last time."""
        if not self._is_known(file):
            self._forget()
            self._file_id = os.fstat(file.fileno()).st_ino
        position = self._ends[-1] if self._ends else 0
        file.seek(position)
        while part := file.read(PART):
            newlines = np.flatnonzero(np.frombuffer(part, np.uint8) == 10)
            self._ends.extend((newlines + (position + 1)).tolist())
            position += len(part)
        if self._ends:
            self._mark = self._before(file, self._ends[-1])

    def _is_known(self, file: BinaryIO) -> bool:
        """Return whether the file still begins with the lines that were found in it."""
        if not self._ends:
            return False
        same = os.fstat(file.fileno()).st_ino == self._file_id
        return same and self._before(file, self._ends[-1]) == self._mark

    def _before(self, file: BinaryIO, end: int) -> bytes:
        begin = max(0, end - MARK)
        file.seek(begin)
        return file.read(end - begin)

    def _read(self, file: BinaryIO, first: int) -> tuple[list[dict[str, Any]], int, bool]:
        begin = self._ends[first - 1] if first else 0
        last = first
        while last < len(self._ends) and (last == first or self._ends[last] - begin <= ANSWER_BYTES):
            last += 1
        if last == first:
            return [], last, False
        file.seek(begin)
        found = file.read(self._ends[last - 1] - begin).split(b"\n")[:-1]
        places = [f"{self.path}, line {number}" for number in range(first + 1, last + 1)]
        lines = [
            checked_event(parse_json(line, where, RunError), where)
            for line, where in zip(found, places, strict=True)
        ]
        return lines, last, last < len(self._ends)
