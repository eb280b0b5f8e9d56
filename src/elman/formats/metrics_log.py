"""The training log of a run, metrics.jsonl: one JSON object per line."""

import json
import os
from pathlib import Path
from typing import Any

from elman.errors import RunError
from elman.parsing import parse_json


class Metrics:
    """Appends lines to a run's metrics file; a resumed run first truncates it to its length at the checkpoint."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def write(self, kind: str, **values: Any) -> None:
        """Append one line.

        Raises:
            RunError: the file cannot be written.
        """
        try:
            # names of files that are not UTF-8 contain lone surrogates, which are written as JSON's escapes
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(json.dumps({"kind": kind, **values}, ensure_ascii=False) + "\n")
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror or error}") from error

    @property
    def size(self) -> int:
        """The file's length in bytes; 0 if there is none yet."""
        return self.path.stat().st_size if self.path.exists() else 0

    def cut(self, size: int) -> None:
        """Truncate the file to its first ``size`` bytes."""
        if self.size > size:
            os.truncate(self.path, size)


def read_metrics(folder: str | Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics, without a last line that a crash left incomplete.

    Raises:
        RunError: the run has no metrics, or a line other than the last is damaged.
    """
    path = Path(folder) / "metrics.jsonl"
    if not path.is_file():
        raise RunError(f"{folder} holds no metrics.jsonl: it is not a run that `elman.train()` made")
    lines = path.read_bytes().splitlines()  # bytes: text would also be split at Unicode line separators
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            value = parse_json(line, f"{path}, line {number}", RunError)
        except RunError:
            if number < len(lines):
                raise
            break
        if not isinstance(value, dict) or "kind" not in value:
            raise RunError(f"{path}, line {number} has no kind of event; elman did not write it")
        found.append(value)
    return found
