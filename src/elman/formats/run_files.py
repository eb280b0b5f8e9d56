"""The files of a run folder: replaced by those of a new run all at once, and tidied up after killed processes.

A new run is made in a hidden folder of the run folder. Renaming that folder is the moment in which the new run replaces
the old one: from then on readers find its files there (`run_file`), and whoever writes next moves them up.
"""

import contextlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from elman.errors import RunError
from elman.files import remove_empty, remove_leftovers, replace_file, sync_folder
from elman.formats.model_file import LAST_NAME, MODEL_NAME, READY, save_model
from elman.formats.run_lock import locked
from elman.models.tokenized import TokenizedModel

CONFIG_NAME, METRICS_NAME = "config.toml", "metrics.jsonl"
FILES = (CONFIG_NAME, LAST_NAME, MODEL_NAME, METRICS_NAME)
STAGED = ".elman-new"  # holds a new run until it is complete
VALID = "valid"  # the folder in a run for a validation text that was given as lines or a stream
_NEW_CONFIG = f"{CONFIG_NAME}.new"  # of a run that an older elman was starting
_ABSENT = ".none"  # marks a file that the new run does not have
_SPOOLED = re.compile(  # copies of texts, and (hidden) unfinished ones
    r"text-[0-9a-f]{16}\.txt|\.(text|stdin)-\d+|\.\.(text|stdin)-\d+\..*\.part"
)


def run_file(folder: Path, name: str) -> Path:
    """Return where a file of a run is: that of a complete new run whose files have not been moved up yet, first."""
    ready = folder / READY / name
    return ready if ready.exists() else folder / name


def run_files(folder: Path) -> list[str]:
    """Return the names of a run's files that exist."""
    return [name for name in FILES if run_file(folder, name).exists()]


def check_run_folder(folder: str | Path, overwrite: bool) -> None:
    """Raise RunError where ``folder`` holds a run that must not be replaced."""
    if not overwrite and run_files(Path(folder)):
        raise RunError(
            f"{folder} already holds a run; replace it with `overwrite=True`, or choose another folder"
        )


@contextlib.contextmanager
def writing_run(folder: Path) -> Iterator[None]:
    """Hold the lock on a run folder; first finish or remove what killed processes have left there.

    Raises:
        RunError: another process writes there, or the folder cannot be written.
    """
    with locked(folder) as newly:
        if newly:
            with _writable(folder):
                _recover(folder)
        yield


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder for the files of a new run, which replace those in ``folder`` if the block succeeds.

    At any moment, whatever happens, ``folder`` holds either the whole old run or the whole new one.

    Raises:
        RunError: another process writes there, or the folder cannot be written.
    """
    with writing_run(folder):
        staged = folder / STAGED
        with _writable(folder):
            staged.mkdir()
        try:
            yield staged
            with _writable(folder):
                for name in FILES:
                    if not (staged / name).exists():
                        (staged / f"{name}{_ABSENT}").touch()
                sync_folder(staged)
                staged.replace(folder / READY)
                sync_folder(folder)
        except BaseException:
            with contextlib.suppress(OSError):
                _remove(staged)
            raise
        with _writable(folder):
            _move_up(folder)


def save_run(folder: str | Path, text_model: TokenizedModel, overwrite: bool = False) -> None:
    """Save a model as the only content of a run folder; the files of an earlier run there are removed.

    Raises:
        RunError: the folder holds a run and ``overwrite`` is not set, is being written, or cannot be made.
        ModelFileError: the folder cannot be written or the disk is full.
    """
    folder = Path(folder)
    with writing_run(folder):
        check_run_folder(folder, overwrite)
        with replacing(folder) as staged:
            save_model(staged / MODEL_NAME, text_model)


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Turn an OSError in the block into a RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write the run folder {folder}: {error.strerror or error}; choose another folder or free some space"
        ) from error


def _move_up(folder: Path) -> None:
    """Remove the files of the old run that the new one lacks, then move those of the new run to their places.

    Where a process is killed on the way, another one can continue.
    """
    ready = folder / READY
    for name in FILES:
        if (ready / f"{name}{_ABSENT}").exists():
            (folder / name).unlink(missing_ok=True)
            (ready / f"{name}{_ABSENT}").unlink()
    for name in FILES:
        if (ready / name).exists():
            replace_file(ready / name, folder / name)
    sync_folder(folder)
    _remove(ready)


def _recover(folder: Path) -> None:
    """Finish a replacement that was interrupted after its decisive moment, and remove all that is unfinished."""
    _remove(folder / STAGED)
    if (folder / READY).is_dir():
        _move_up(folder)
    for name in FILES:
        remove_leftovers(folder / name)
    (folder / _NEW_CONFIG).unlink(missing_ok=True)
    in_use = _texts_of_run(folder)
    for place in (folder / VALID, folder):
        found = [
            each
            for each in (*place.glob("*text-*"), *place.glob(".*stdin-*"))
            if _SPOOLED.fullmatch(each.name)
        ]
        unused = [each for each in found if each.name not in in_use]
        for path in unused:
            path.unlink()
        if unused and place != folder:
            remove_empty([place])


def _remove(folder: Path) -> None:
    """Remove a folder of files, if it exists."""
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def _texts_of_run(folder: Path) -> set[str]:
    """Return the names of the files of a run's texts, wherever the folder was when it recorded them."""
    try:
        stored = tomllib.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
        return {Path(stored[part]).name for part in ("corpus", "valid")}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, TypeError):  # damaged: what it needs is not known
        return {path.name for place in (folder, folder / VALID) for path in place.glob("text-*")}
