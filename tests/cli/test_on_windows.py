"""What differs on Windows, simulated: encodings of redirected output, closed pipes, mapped files."""

import errno
import io
import shutil
from pathlib import Path
from typing import Any

import pytest

from elman import cli
from elman.text import sources


@pytest.fixture(autouse=True)
def on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "WINDOWS", True)
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def output(buffer: io.BytesIO) -> io.TextIOWrapper:
    return io.TextIOWrapper(buffer, encoding="cp949")


def test_redirected_output_is_utf_8_whatever_the_locale() -> None:
    stream = output(io.BytesIO())
    cli._set_encoding(stream)
    assert (stream.encoding, stream.errors) == ("utf-8", "replace")


def test_a_terminal_keeps_its_encoding_and_shows_question_marks() -> None:
    buffer = Terminal()
    stream = output(buffer)
    cli._set_encoding(stream)
    stream.write("톰 — ≥")
    stream.write("\N{SLIGHTLY SMILING FACE}")
    stream.flush()
    assert stream.encoding == "cp949"
    assert buffer.getvalue().decode("cp949") == "톰 ? ≥?"


def test_an_encoding_that_the_user_chose_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "cp949")
    stream = output(io.BytesIO())
    cli._set_encoding(stream)
    assert (stream.encoding, stream.errors) == ("cp949", "replace")


def test_a_closed_pipe_ends_without_a_message(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(run: Path) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("elman.cli.generate.load", fail)
    outcome = command("generate", "run")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", "")


def test_a_folder_with_a_mapped_file_is_removed_when_python_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    at_exit: list[tuple[Any, ...]] = []
    monkeypatch.setattr("atexit.register", lambda *call, **options: at_exit.append(call))
    remove = shutil.rmtree
    with monkeypatch.context() as mapped:
        mapped.setattr(shutil, "rmtree", lambda folder, ignore_errors: None)
        with sources.temporary_folder() as folder:
            (folder / "ids").write_bytes(b"12")
    assert [call[1] for call in at_exit] == [folder]
    remove(folder)


def test_a_folder_that_can_be_removed_is_gone_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atexit.register", None)
    with sources.temporary_folder() as folder:
        (folder / "ids").write_bytes(b"12")
    assert not folder.exists()
