"""The lock on a run folder: one process at a time writes there. Reading needs no lock.

It is a lock of the operating system on the file ``.elman-lock``, so it ends with its process, however that ends. The
file names the process, for the others.
"""

import contextlib
import errno
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from elman.errors import RunError
from elman.files import missing_folders, reason, remove_empty

if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> None:
        os.lseek(handle, 1 << 30, os.SEEK_SET)  # far behind the content, which others may then read
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    try:
        import fcntl
    except ImportError:  # a system without locks, such as WebAssembly
        fcntl = None  # type: ignore[assignment]

    def _try_lock(handle: int) -> None:
        if fcntl is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


LOCK_NAME = ".elman-lock"  # text/folders.py knows it, too
_TAKEN = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
_ATTEMPTS = 1000  # each fails only if another process removes the lock or the folder at that very moment
_READS = 20  # of the holder's name, which it writes a moment after it has the lock

logger = logging.getLogger(__name__)
_held: dict[Path, int] = {}  # folders that this process has locked: the thread
_guard = threading.Lock()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold the lock on a run folder, which is made if it does not exist; yield False if this thread held it already.

    A folder that was made here and is still empty at the end is removed. Where the file system has no locks, a warning
    is logged.

    Raises:
        RunError: another process, or another thread, writes there; or the folder cannot be written.
    """
    key, thread = folder.resolve(), threading.get_ident()
    with _guard:
        holder = _held.get(key)
        _held.setdefault(key, thread)
    if holder == thread:
        yield False
        return
    if holder is not None:
        raise RunError(_refusal(folder, "another thread of this process"))
    missing = missing_folders(folder)
    try:
        handle = _acquire(folder)
        try:
            yield True
        finally:
            _release(folder / LOCK_NAME, handle)
    finally:
        with _guard:
            del _held[key]
        remove_empty(missing)


def _acquire(folder: Path) -> int:
    """Return the handle of the locked file. Raises RunError."""
    path = folder / LOCK_NAME
    try:
        for _ in range(_ATTEMPTS):
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(
                FileNotFoundError
            ):  # the folder was removed by another process that failed
                handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
                if _lock(handle, path):
                    return handle
    except OSError as error:
        raise RunError(
            f"cannot write the run folder {folder}: {error.strerror or error}; choose another folder or free some "
            "space; nothing was changed"
        ) from error
    raise RunError(f"cannot lock the run folder {folder}; try again")


def _lock(handle: int, path: Path) -> bool:
    """Lock an open file, and write who holds it; return False where its name now belongs to another file, or to none.

    Raises RunError where another process holds it.
    """
    try:
        _try_lock(handle)
    except OSError as error:
        if error.errno in _TAKEN:
            os.close(handle)
            raise RunError(_refusal(path.parent, _holder(path))) from error
        logger.warning(
            "%s cannot be locked (%s): take care that no other process writes a run there",
            path.parent,
            reason(error),
        )
    if not _is_at(handle, path):  # the last holder has removed it just now
        os.close(handle)
        return False
    about = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S %z")}
    with contextlib.suppress(OSError):  # such as a full disk: the lock holds without a name, too
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, json.dumps(about).encode())
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _release(path: Path, handle: int) -> None:
    """Unlock and remove the file. Windows removes no open file, so there it is closed first."""
    if sys.platform == "win32":
        os.close(handle)
        with contextlib.suppress(OSError):  # the next process has opened it already
            path.unlink()
        return
    with contextlib.suppress(OSError):
        path.unlink()
    os.close(handle)


def _holder(path: Path) -> str:
    """Return who holds a lock, in words."""
    for _ in range(_READS):
        try:
            about = json.loads(path.read_bytes())
            return f"process {about['pid']} on {about['host']}, since {about['since']}"
        except (OSError, ValueError, TypeError, KeyError):
            time.sleep(0.01)
    return "another process"


def _refusal(folder: Path, holder: str) -> str:
    return (
        f"{folder} is being written by {holder}; wait until it has ended, stop it, or choose another folder "
        "(nothing was changed)"
    )
