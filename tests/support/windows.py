"""The files of Windows, simulated: what cannot be renamed, removed or opened there."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from elman import files


class Windows:
    """Renames as Windows has them: a mapped file can be renamed, not replaced; an open one neither."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mapped: set[Path] = set()
        self.open_for: dict[Path, int] = {}  # renames until it is closed
        self.slept: list[float] = []
        self._rename, self._unlink, self._open = Path.replace, Path.unlink, os.open
        monkeypatch.setattr(files, "_ON_WINDOWS", True)
        monkeypatch.setattr(files.time, "sleep", self.slept.append)
        monkeypatch.setattr(os, "open", self.open)
        monkeypatch.setattr(Path, "replace", lambda old, new: self.rename(old, Path(new)))
        monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: self.unlink(path, missing_ok))

    def _refuse(self, path: Path, *arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Access is denied", str(path))

    def open(self, path: Any, *arguments: Any, **more: Any) -> int:
        if Path(path).is_dir():
            self._refuse(path)
        return self._open(path, *arguments, **more)

    def rename(self, old: Path, new: Path) -> Path:
        for path in (old, new):
            if self.open_for.get(path, 0) > 0:
                self.open_for[path] -= 1
                self._refuse(path)
        if new in self.mapped:
            self._refuse(new)
        if old in self.mapped:
            self.mapped = self.mapped - {old} | {new}
        return self._rename(old, new)

    def unlink(self, path: Path, missing_ok: bool) -> None:
        if path in self.mapped:
            self._refuse(path)
        self._unlink(path, missing_ok=missing_ok)
