"""Where made and fetched files are kept, and how they are written: whole, or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from elman.errors import TextError
from elman.files import atomic_write


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
