"""Files are written whole or not at all, on Windows too (simulated); and memory maps can be released."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman import files
from elman.errors import RunError, TextError
from elman.files import (
    atomic_write,
    cache_folder,
    check_output_file,
    open_output,
    release_pages,
    remove_leftovers,
    remove_orphans,
    writing,
)
from support.windows import Windows


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_bytes_and_text(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as file:
        file.write(b"\x00\xff")
    with atomic_write(tmp_path / "b", "w", encoding="utf-8") as file:
        file.write("안녕\n")
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    assert (tmp_path / "b").read_text(encoding="utf-8") == "안녕\n"
    assert names(tmp_path) == ["a", "b"]


def test_a_file_gets_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new, but longer")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new, but longer"


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with atomic_write(path) as file:
            file.write(b"half of the n")
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_refuses_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")

    def full(*arguments: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    if call == "replace":
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"), atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["model"]


def rewrite(path: Path) -> None:
    with atomic_write(path) as file:
        file.write(b"new")


def test_windows_replaces_a_file_that_is_memory_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ids"
    path.write_bytes(b"old")
    windows = Windows(monkeypatch)
    windows.mapped = {path}
    rewrite(path)
    assert path.read_bytes() == b"new"
    (old,) = windows.mapped
    assert old.read_bytes() == b"old"
    remove_leftovers(path)  # it is still mapped
    assert len(names(tmp_path)) == 2
    windows.mapped.clear()
    remove_leftovers(path)
    assert names(tmp_path) == ["ids"]


def test_lines_of_text_end_alike_on_every_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    fdopen = os.fdopen

    def recording(handle: int, mode: str, **arguments: Any) -> Any:
        given.append(arguments.get("newline", "that of the system"))
        return fdopen(handle, mode, **arguments)

    monkeypatch.setattr(files.os, "fdopen", recording)
    for mode, arguments in (("w", {}), ("w", {"newline": ""}), ("wb", {})):
        with atomic_write(tmp_path / "file", mode, **arguments):
            pass
    assert given == ["\n", "", "that of the system"]


@pytest.mark.parametrize("renames", [0, 1, 5])
def test_windows_waits_for_a_file_that_is_open_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")
    windows = Windows(monkeypatch)
    windows.open_for = {path: renames}
    rewrite(path)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["model"]
    assert len(windows.slept) == renames // 2


def test_windows_gives_up_on_a_file_that_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")
    windows = Windows(monkeypatch)
    windows.open_for = {path: 1000}
    with pytest.raises(PermissionError, match="Access is denied"):
        rewrite(path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["model"]


def test_unfinished_files_of_killed_writers_are_removed(tmp_path: Path) -> None:
    for name in (".a[1].xyz.part", ".a[1].new.xyz.part", ".a1.xyz.part", ".b.xyz.part", "a[1]", "a[1].part"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "a[1]")
    assert names(tmp_path) == [".a1.xyz.part", ".b.xyz.part", "a[1]", "a[1].part"]
    remove_leftovers(tmp_path / "nothing of the kind")


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from elman.files import atomic_write\n"
    code += "with atomic_write(Path(sys.argv[1])) as file: file.write(b'x'); file.flush(); os._exit(9)"
    paths = [str(Path(files.__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False, env=environment)
    (left,) = names(tmp_path)
    elsewhere = left.replace(f"-{files._host()}.", "-01234567.")
    for name in (elsewhere, ".a.part", "a.1-01234567.x.part"):
        (tmp_path / name).touch()
    with atomic_write(tmp_path / "b") as file:
        file.write(b"in use")
        remove_orphans(tmp_path)
        assert len(names(tmp_path)) == 4
    assert names(tmp_path) == sorted([elsewhere, ".a.part", "a.1-01234567.x.part", "b"])


def test_has_the_permissions_of_an_ordinary_file(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a") as file:
            file.write(b"")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "no" / "a") as file:
        file.write(b"")


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with atomic_write(tmp_path / "link", "w") as file:
        file.write("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    assert names(tmp_path) == ["link", "real"]


def test_a_pipe_is_written_directly(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with atomic_write(tmp_path / "pipe", "w") as file:
            file.write("through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_the_environment_sets_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("ELMAN_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine"
    monkeypatch.delenv("ELMAN_CACHE")
    assert "elman" in cache_folder().parts


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with writing(path) as file:
        file.write(b"old")

    def fail() -> None:
        with writing(path) as file:
            file.write(b"new")
            raise OSError(28, "No space left on device")

    with pytest.raises(TextError, match="file cannot be written: no space left on device; free space"):
        fail()
    assert path.read_bytes() == b"old"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


READ = """
import sys
from pathlib import Path
import numpy as np
from elman.training.batches import Minibatches
def resident_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
ids = np.memmap(sys.argv[1], np.uint32, mode="r")
minibatches = Minibatches(ids[:-1], ids[1:], 20, 5000)
minibatches.next()
before = resident_mb()
total = sum(int(minibatches.next()[0].sum()) for _ in range(minibatches.blocks_per_epoch - 1))
print(resident_mb() - before, total)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")
def test_an_epoch_of_reading_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    np.ones(24 << 20, np.uint32).tofile(path)  # 96 MB
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True)
    grown, total = map(float, done.stdout.split())
    assert total > 24e6
    assert grown < 30


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_released_pages_can_be_read_again(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "ids"
    np.arange(100_000).tofile(path)
    ids = np.memmap(path, np.int64, mode=mode)
    expected = np.arange(100_000)
    if mode != "r":
        ids[7] = expected[7] = -1
    view = ids[1:][::2]
    release_pages(view)
    np.testing.assert_array_equal(view, expected[1::2])


def test_an_ordinary_array_is_left_alone() -> None:
    ids = np.arange(5)
    release_pages(ids)
    np.testing.assert_array_equal(ids, np.arange(5))


def test_a_file_takes_its_name_only_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with open_output(path) as file:
        file.write("한 줄\n")
        assert not path.exists()
    assert path.read_bytes() == "한 줄\n".encode()
    with pytest.raises(ZeroDivisionError), open_output(path) as file:
        file.write(f"half of it {1 / 0}")
    assert path.read_bytes() == "한 줄\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "out.txt"
    with pytest.raises(RunError, match=r"there is no folder .*gone to write out.txt in"):
        check_output_file(path)
    with pytest.raises(RunError, match=r"is a folder; name a file"):
        check_output_file(tmp_path)
    check_output_file(None)
    with pytest.raises(RunError, match=r"cannot write .*out.txt: No such file"), open_output(path):
        pass
    with pytest.raises(RunError, match=r"cannot write .*: No space left"), open_output(tmp_path / "out.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_closed_pipe_is_no_mistake(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), open_output(tmp_path / "out.txt"):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
