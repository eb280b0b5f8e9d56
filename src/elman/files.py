"""Write files whole or not at all, and keep made and fetched ones in a cache folder.

Files that are whole or not there: written under a temporary name, flushed, renamed.

Where made and fetched files are kept, and how they are written: whole, or not at all.

The pages of a memory-mapped array.
"""

import contextlib
import glob
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import TextError

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


def reason(error: OSError) -> str:
    """Return the operating system's own words for an error."""
    return (error.strerror or str(error)).lower()


@contextmanager
def about_to_write(path: Path) -> Iterator[None]:
    """Make the folder of a file; raise TextError, naming the file, where that or the block cannot write."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        message = f"{path} cannot be written: {reason(error)}; free space or choose another folder"
        raise TextError(message) from error


@contextmanager
def writing(path: Path) -> Iterator[IO[Any]]:
    """Open a binary file, in a folder that is made if need be; it is complete or it is not there.

    Raises TextError, naming the file, where the folder cannot be written or the disk is full.
    """
    with about_to_write(path), atomic_write(path) as file:
        yield file


def cache_folder() -> Path:
    """Return the folder of fetched and made corpora: $ELMAN_CACHE, or else the user's cache folder."""
    chosen = os.environ.get("ELMAN_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("elman"))


def release_pages(array: NDArray[Any]) -> None:
    """Count the pages of a read-only memory map no longer to this process; they are there again when read.

    They stay in the system's own memory as long as there is room. Any other array is left alone.
    """
    if not (isinstance(array, np.memmap) and array.mode == "r" and hasattr(mmap, "MADV_DONTNEED")):
        return
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap):
        owner.madvise(mmap.MADV_DONTNEED)
