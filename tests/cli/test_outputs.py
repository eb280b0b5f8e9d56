"""Output files that are written whole or not at all, and run folders that hold one model."""

import errno
from pathlib import Path

import pytest

from elman.cli.outputs import check_output_file, check_run_folder, open_output, save_run
from elman.errors import RunError
from elman.text_model import load
from support.tiny import text_model


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


def test_a_saved_model_replaces_an_earlier_run(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    check_run_folder(folder, overwrite=False)
    save_run(folder, text_model())
    (folder / "metrics.jsonl").write_text("{}\n", encoding="utf-8")
    (folder / "notes.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(RunError, match="already holds a run; replace it with --overwrite"):
        check_run_folder(folder, overwrite=False)
    check_run_folder(folder, overwrite=True)
    save_run(folder, text_model())
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "notes.txt"]
    assert len(load(folder).vocabulary) == 24
