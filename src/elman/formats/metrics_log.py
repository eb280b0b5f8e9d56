"""The training log of a run, metrics.jsonl: one JSON object per line."""

import json
import logging
import os
from pathlib import Path
from typing import Any

from elman.errors import RunError
from elman.files import reason
from elman.formats.run_files import METRICS_NAME, run_file
from elman.parsing import parse_json

logger = logging.getLogger(__name__)


class Metrics:
    """Appends lines to a run's metrics file; a resumed run first truncates it to its length at the checkpoint.

    Lines that cannot be written, such as on a full disk, are kept in memory and written with the next ones.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._waiting: list[str] = []

    def write(self, kind: str, **values: Any) -> None:
        """Append one line; warn where it has to wait."""
        self._waiting.append(json.dumps({"kind": kind, **values}, ensure_ascii=False) + "\n")
        try:
            self._append()
        except OSError as error:
            if len(self._waiting) == 1:
                logger.warning(
                    "cannot write %s: %s; its lines are kept and written later", self.path, reason(error)
                )

    def sync(self) -> None:
        """Write all lines to the disk: a checkpoint relies on them.

        Raises:
            RunError: the file cannot be written.
        """
        try:
            self._append()
            with self.path.open("ab") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror or error}") from error

    def _append(self) -> None:
        """Write the waiting lines, all or none. Raises OSError."""
        if not self._waiting:
            return
        before = self.size
        try:
            with self.path.open("ab") as file:
                file.write("".join(self._waiting).encode("utf-8", "backslashreplace"))  # a lone surrogate
        except OSError:
            if self.size > before:
                os.truncate(self.path, before)
            raise
        self._waiting.clear()

    @property
    def size(self) -> int:
        """The file's length in bytes; 0 if there is none yet."""
        return self.path.stat().st_size if self.path.exists() else 0

    def cut(self, size: int) -> None:
        """Truncate the file to its first ``size`` bytes, and to whole lines."""
        if not self.path.exists():
            return
        kept = self.path.read_bytes()[:size]
        whole = kept.rfind(b"\n") + 1
        if self.size > whole:
            os.truncate(self.path, whole)


def read_metrics(folder: str | Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics, without a last line that a crash left incomplete.

    Raises:
        RunError: the run has no metrics, or a line other than the last is damaged.
    """
    path = run_file(Path(folder), METRICS_NAME)
    if not path.is_file():
        raise RunError(f"{folder} holds no metrics.jsonl: it is not a run that `elman.train()` made")
    lines = path.read_bytes().splitlines()  # bytes: text would also be split at Unicode line separators
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            value = parse_json(line, where := f"{path}, line {number}", RunError)
        except RunError:
            if number < len(lines):
                raise
            break
        found.append(checked_event(value, where))
    return found


def checked_event(value: Any, where: str) -> dict[str, Any]:
    """Return the value of a line of metrics. Raises RunError where it is not an event."""
    if not isinstance(value, dict) or "kind" not in value:
        raise RunError(f"{where} has no kind of event; elman did not write it")
    return value
