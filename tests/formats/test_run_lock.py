"""The lock on a run folder: one writer at a time, whatever becomes of it."""

import errno
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import elman
from elman.errors import RunError
from elman.formats import run_lock
from elman.formats.run_lock import LOCK_NAME, locked

HOLD = """
import sys
from pathlib import Path
from elman.formats.run_lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.readline()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock until it reads a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        env={**os.environ, "PYTHONPATH": str(Path(elman.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_another_process_is_named_and_its_death_ends_the_lock(tmp_path: Path) -> None:
    other = holder(tmp_path)
    with (
        pytest.raises(
            RunError, match=rf"is being written by process {other.pid} on .*, since 2.*; wait until"
        ),
        locked(tmp_path),
    ):
        raise AssertionError
    other.kill()
    other.communicate()
    assert (tmp_path / LOCK_NAME).exists()
    with locked(tmp_path) as newly:
        assert newly
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_holder_could_not_write_its_name_holds(tmp_path: Path) -> None:
    other = holder(tmp_path)
    (tmp_path / LOCK_NAME).write_bytes(b"")
    with pytest.raises(RunError, match="is being written by another process; wait"), locked(tmp_path):
        raise AssertionError
    other.communicate("\n")


def test_a_thread_may_lock_again_and_another_may_not(tmp_path: Path) -> None:
    def attempt() -> None:
        with locked(tmp_path):
            raise AssertionError

    with locked(tmp_path), locked(tmp_path) as newly, ThreadPoolExecutor(1) as pool:
        assert not newly
        with pytest.raises(RunError, match="is being written by another thread of this process"):
            pool.submit(attempt).result()
    with ThreadPoolExecutor(1) as pool, pytest.raises(AssertionError):
        pool.submit(attempt).result()


def test_of_many_starts_at_once_one_succeeds(tmp_path: Path) -> None:
    """Each thread opens the file itself, so that to the operating system they are as different as processes."""
    folder = tmp_path / "new" / "run"
    ready, tried = threading.Barrier(20), threading.Barrier(20)

    def start(number: int) -> bool:
        ready.wait()
        try:
            handle = run_lock._acquire(folder)
        except RunError:
            tried.wait()
            return False
        tried.wait()
        run_lock._release(folder / LOCK_NAME, handle)
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(start, range(20))) == 1
    assert list(folder.iterdir()) == []


def test_a_folder_that_was_made_stays_if_something_is_in_it(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["file"]


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unsupported(handle: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(run_lock, "_try_lock", unsupported)
    with locked(tmp_path):
        pass
    assert caplog.messages == [
        f"{tmp_path} cannot be locked (no locks available): take care that no other process writes a run there"
    ]


def test_a_lock_file_that_its_last_holder_removes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_lock, removed = run_lock._try_lock, []

    def removing(handle: int) -> None:
        if not removed:
            (tmp_path / LOCK_NAME).unlink()
            removed.append(handle)
        try_lock(handle)

    monkeypatch.setattr(run_lock, "_try_lock", removing)
    with locked(tmp_path):
        assert (tmp_path / LOCK_NAME).exists()
