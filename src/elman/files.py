"""Files: written whole or not at all, the cache folder, and the memory of memory-mapped arrays."""

import contextlib
import glob
import mmap
import os
import re
import socket
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import RunError, TextError

_SUFFIX = ".part"
_OWNER = re.compile(r"\.(?P<pid>\d+)-(?P<host>[0-9a-f]{8})\.[^.]+(\.old)?\.part$")
_ON_WINDOWS = os.name == "nt"
_RETRY_SECONDS = (0.01, 0.1, 0.5)


@contextlib.contextmanager
def atomic_write(path: Path, mode: str = "wb", **open_arguments: Any) -> Iterator[IO[Any]]:
    r"""Yield a file that takes the name ``path`` when the block ends without an error, and is removed otherwise.

    A reader, or a process killed at any moment, sees the old file or the new one, never a part. A symbolic link
    stays, and its target is replaced. A path that exists but is not a regular file, such as a pipe or
    ``/dev/stdout``, is written directly. Lines of text end in ``\n`` on every system, unless ``newline`` is given.

    Raises:
        OSError: the folder cannot be written, or the disk is full; ``path`` is unchanged.
    """
    if "b" not in mode:
        open_arguments.setdefault("newline", "\n")  # other programs read these files, too
    if path.exists() and not path.is_file():
        with path.open(mode, **open_arguments) as stream:
            yield stream
        return
    path = path.resolve()
    prefix = f".{path.name}.{os.getpid()}-{_host()}."
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=_SUFFIX)
    temporary = Path(name)
    try:
        with os.fdopen(handle, mode, **open_arguments) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~umask())
        replace_file(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    if _ON_WINDOWS:  # which cannot open a folder, and needs not
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(temporary: Path, path: Path) -> None:
    """Rename ``temporary`` to ``path``.

    Windows refuses this while the old file is memory-mapped (it may still be renamed then), and while another
    program such as a virus scanner has it open (mostly for a moment).
    """
    for pause in (*_RETRY_SECONDS, None):
        try:
            temporary.replace(path)
            return
        except PermissionError:
            if not _ON_WINDOWS:
                raise
            if _replace_renamed(temporary, path):
                return
            if pause is None:
                raise
            time.sleep(pause)


def _replace_renamed(temporary: Path, path: Path) -> bool:
    """Rename the old file out of the way, then ``temporary`` to ``path``; return whether that worked."""
    old = temporary.with_suffix(f".old{_SUFFIX}")  # `remove_leftovers` finds it
    try:
        path.replace(old)
    except OSError:
        return False
    try:
        temporary.replace(path)
    except OSError:
        old.replace(path)
        return False
    with contextlib.suppress(OSError):  # still mapped
        old.unlink()
    return True


def umask() -> int:
    """Return the permissions that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def writing(path: Path) -> Iterator[IO[Any]]:
    """Open a binary file by `atomic_write`; its folder is made if it does not exist.

    Raises:
        TextError: the folder cannot be written, or the disk is full; names the file.
    """
    with about_to_write(path), atomic_write(path) as file:
        yield file


@contextlib.contextmanager
def about_to_write(path: Path) -> Iterator[None]:
    """Make the folder of a file, and turn an OSError here or in the block into a TextError that names the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        message = f"{path} cannot be written: {reason(error)}; free space or choose another folder"
        raise TextError(message) from error


def check_output_file(path: str | Path | None) -> None:
    """Raise RunError now for a file that could not be written at the end; None stands for no file."""
    if path is None:
        return
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise RunError(f"there is no folder {path.parent} to write {path.name} in")
    if path.is_dir():
        raise RunError(f"{path} is a folder; name a file")


@contextlib.contextmanager
def open_output(path: str | Path) -> Iterator[IO[Any]]:
    """Yield a UTF-8 text file that takes its name when the block succeeds. Raises RunError where it cannot."""
    try:
        with atomic_write(Path(path), "w", encoding="utf-8", newline="\n") as file:
            yield file
    except BrokenPipeError:  # such as /dev/stdout whose reader has gone: the end, and no mistake
        raise
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def missing_folders(folder: Path) -> list[Path]:
    """Return a folder and those of its parents that do not exist, the innermost first."""
    return [each for each in (folder, *folder.parents) if not os.path.lexists(each)]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of the folders that are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of killed writers of ``path``; one that is in use stays."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            part.unlink()


def remove_orphans(folder: Path) -> None:
    """Remove the temporary files of `atomic_write` in a folder whose processes, on this machine, have been killed."""
    for part in folder.glob(f".*{_SUFFIX}"):
        owner = _OWNER.search(part.name)
        if owner is not None and owner["host"] == _host() and not _is_alive(int(owner["pid"])):
            with contextlib.suppress(OSError):
                part.unlink()


def _is_alive(pid: int) -> bool:
    """Return whether there is a process of this number, on Windows always no: a file that is in use stays there."""
    if _ON_WINDOWS:  # where os.kill would end it
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def _host() -> str:
    """Return eight digits that stand for this machine in names of files."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def printable_path(path: Path) -> str:
    r"""Return a path as text that every encoding of Unicode can hold: bytes that are not UTF-8 become ``\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def reason(error: OSError) -> str:
    """Return the operating system's message for an error, in lower case."""
    return (error.strerror or str(error)).lower()


def cache_folder() -> Path:
    """Return the folder of downloaded and generated corpora: $ELMAN_CACHE, else the user's cache folder."""
    chosen = os.environ.get("ELMAN_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("elman"))


def release_pages(array: NDArray[Any]) -> None:
    """Release this process's memory for the pages of a read-only memory map; they are read again when needed.

    The operating system keeps them cached as long as there is room. Other arrays are left alone.
    """
    if not (isinstance(array, np.memmap) and array.mode == "r" and hasattr(mmap, "MADV_DONTNEED")):
        return
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap):
        owner.madvise(mmap.MADV_DONTNEED)
