"""The folder of a new run: its default name, and no trace of a run that fails before its first checkpoint."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from elman.errors import RunError
from elman.files import missing_folders, remove_empty
from elman.formats.run_files import VALID
from elman.text import datasets
from elman.text.sources import Text

RUNS = Path("runs")
CACHE = ".elman-cache"  # next to a run: the encoded texts


def run_name(corpus: Text) -> str:
    """Return a name for the run of a corpus: of its file without the suffix, its folder, or the named corpus.

    >>> run_name("books/alice.txt"), run_name("rooms"), run_name(["a line", "another"])
    ('alice', 'rooms', 'text')
    """
    if not isinstance(corpus, (str, os.PathLike)):
        return "text"
    name = os.fspath(corpus)
    if datasets.is_named(name):
        return name
    path = Path(name).resolve()  # so that "." and ".." have names
    return (path.name if path.is_dir() else path.stem) or "text"


@contextlib.contextmanager
def output_folder(output: str | os.PathLike[str] | None, corpus: Text, overwrite: bool) -> Iterator[Path]:
    """Yield the folder of a new run; if it is None, a new one in ``runs/``, named after the corpus.

    If the block fails, folders that did not exist before are removed unless there is something in them; the encoded
    texts are, too, where the folder that holds them is new.

    Raises:
        RunError: the folder in ``runs/`` cannot be made.
    """
    first = RUNS / run_name(corpus) if output is None else Path(output)
    missing = missing_folders(first.parent)
    folder = first if output is not None or overwrite else None
    new = [] if folder is None else [each for each in (folder / VALID, folder) if not os.path.lexists(each)]
    try:
        if folder is None:
            folder = _reserved(first)
            new = [folder / VALID, folder]
        yield folder
    except BaseException:
        remove_empty(new)
        cache = first.parent / CACHE
        if missing and cache.is_dir() and list(first.parent.iterdir()) == [cache]:
            shutil.rmtree(cache, ignore_errors=True)
        remove_empty(missing)
        raise


def _reserved(first: Path) -> Path:
    """Make a new folder: ``first`` or, where that exists, the first of ``first-2``, ``first-3``, ..."""
    folder, number = first, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
            folder = first.with_name(f"{first.name}-{number}")
        except OSError as error:
            raise RunError(
                f"cannot write the run folder {folder}: {error.strerror or error}; choose a folder with `output`"
            ) from error
