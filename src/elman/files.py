"""Files that are whole or not there: written under a temporary name, flushed, renamed."""

import contextlib
import glob
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

_SUFFIX = ".part"


@contextlib.contextmanager
def atomic_write(path: Path, mode: str = "wb", **open_arguments: Any) -> Iterator[IO[Any]]:
    """Yield a file that takes the name ``path`` when the block ends well, and vanishes when it does not.

    A reader, or a process killed at any moment, sees the old file or the new one, never a part. A symbolic link stays
    one, and what it points to is replaced. What is there and no regular file, such as a pipe or ``/dev/stdout``, is
    written as it stands.

    Raises:
        OSError: the folder cannot be written, or the disk is full; ``path`` is as it was.
    """
    if path.exists() and not path.is_file():
        with path.open(mode, **open_arguments) as stream:
            yield stream
        return
    path = path.resolve()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_SUFFIX)
    temporary = Path(name)
    try:
        with os.fdopen(handle, mode, **open_arguments) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name itself is on the disk
    finally:
        os.close(folder)


def remove_leftovers(path: Path) -> None:
    """Remove the unfinished files of writers of ``path`` that were killed."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*{_SUFFIX}"):
        part.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
