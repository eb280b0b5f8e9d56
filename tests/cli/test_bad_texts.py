"""Texts that cannot be read: one line that names the text, the place and what to do; nothing half-written."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.text_model import load
from support.command_line import SMALL

Refused = Callable[..., str]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """The test's own folder, with every kind of bad text in it."""
    contents = {
        "empty.txt": b"",
        "one.txt": b"word",
        "short.txt": b"a b c\n",
        "bytes.bin": bytes(range(1, 256)) * 10,
        "nul.bin": b"\x00\x01\x02abc" * 10,
        "latin.txt": "café au lait .\n".encode("latin-1") * 40,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "picture.png").write_bytes(b"no text")
    return tmp_path


NO_TEXT = [
    ("empty.txt", "empty.txt is empty"),
    (
        "bytes.bin",
        "bytes.bin: byte 0x80 at offset 127 (line 3) is not utf-8; name the file's encoding with --encoding",
    ),
    (
        "nul.bin",
        "nul.bin holds NUL bytes, so it is not text in this encoding; give its --encoding (utf-16), read",
    ),
    (
        "latin.txt",
        "latin.txt: byte 0xe9 at offset 3 (line 1) is not utf-8; name the file's encoding with --encoding (latin-1",
    ),
    (
        "gone.txt",
        "there is no file, folder or named corpus 'gone.txt' (`elman data` lists the named corpora)",
    ),
    ("folder", "the folder folder holds no text file"),
    ("romos", "there is no file, folder or named corpus 'romos'; did you mean rooms"),
]
TOO_SHORT = [
    (
        "one.txt",
        "one.txt: the text is too short: 2 tokens, but one block of 2 sequences of 4 steps needs 9; give more",
    ),
    ("short.txt", "short.txt: the text is too short: 4 tokens, but one block"),
]


@pytest.mark.parametrize(("name", "message"), [*NO_TEXT, *TOO_SHORT])
def test_train_refuses_bad_text_and_leaves_no_folder(
    refused: Refused, texts: Path, name: str, message: str
) -> None:
    assert message in refused("train", name, "-o", "run", *SMALL)
    assert not (texts / "run").exists()


@pytest.mark.parametrize(("name", "message"), NO_TEXT)
def test_eval_refuses_bad_text(refused: Refused, texts: Path, runs: Path, name: str, message: str) -> None:
    assert message in refused("eval", runs / "word", name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("latin.txt", "latin.txt: byte 0xe9 at offset 3 (line 1) is not utf-8"),
        ("nul.bin", "nul.bin holds NUL bytes"),
        ("gone.txt", "gone.txt: there is no such file"),
        ("folder", "folder is a folder, not a file"),
    ],
)
def test_score_refuses_bad_text(refused: Refused, texts: Path, runs: Path, name: str, message: str) -> None:
    assert message in refused("score", runs / "word", name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input is empty"),
        (b"tom \xe9", "standard input: byte 0xe9 at offset 4 (line 1) is not utf-8"),
    ],
)
def test_errors_name_standard_input(
    refused: Refused, tmp_path: Path, runs: Path, content: bytes, message: str
) -> None:
    assert message in refused("eval", runs / "word", "-", stdin=content)
    assert message in refused("train", "-", "-o", "run", *SMALL, stdin=content)
    assert not (tmp_path / "run").exists()


def test_wrong_encoding_of_a_pipe_names_the_byte(refused: Refused, runs: Path) -> None:
    assert "byte 0xe9 at offset 4 (line 1) is not utf-8" in refused(
        "score", runs / "word", stdin=b"tom \xe9\n"
    )


def test_another_encoding_can_be_named(command: Any, texts: Path) -> None:
    assert command("train", "latin.txt", "-o", "run", "--encoding", "latin-1", *SMALL).code == 0
    assert "café" in load(texts / "run").vocabulary
    for outcome in (
        command("eval", "run", "latin.txt", "--encoding", "latin-1", "--json"),
        command("score", "run", "latin.txt", "--encoding", "latin-1"),
        command("eval", "run", "-", "--encoding", "latin-1", stdin=(texts / "latin.txt").read_bytes()),
    ):
        assert outcome.code == 0, outcome.err
    assert command("eval", "run", "latin.txt").code == 1


@pytest.mark.parametrize("verb", ["train", "eval"])
def test_unknown_encoding_suggests_known_ones(refused: Refused, texts: Path, runs: Path, verb: str) -> None:
    arguments = (
        ["train", "latin.txt", "-o", "run"] if verb == "train" else ["eval", runs / "word", "latin.txt"]
    )
    line = refused(*arguments, "--encoding", "latin1x")
    assert line == "unknown encoding 'latin1x'; try utf-8, utf-16, latin-1, cp949"


@pytest.mark.parametrize("name", ["nul.bin", "bytes.bin", "latin.txt"])
def test_any_file_can_be_read_as_bytes(command: Any, texts: Path, runs: Path, name: str) -> None:
    assert command("train", name, "-o", "run", "--level", "byte", *SMALL).code == 0
    assert command("eval", runs / "byte", name).code == 0


def test_special_file_suggests_standard_input(refused: Refused, runs: Path) -> None:
    assert "/dev/null is not a regular file; to read a pipe, give -" in refused(
        "eval", runs / "word", "/dev/null"
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["words", "bytes", "eval"])
def test_memory_does_not_grow_with_line_length(process: Any, runs: Path, tmp_path: Path, kind: str) -> None:
    line = tmp_path / "line.txt"
    commands: dict[str, list[Any]] = {
        "words": ["train", line, "-o", tmp_path / "run", "--overwrite", "--max-tokens=500", *SMALL],
        "bytes": [
            "train",
            line,
            "-o",
            tmp_path / "run",
            "--overwrite",
            "--level=byte",
            "--iterations=3",
            *SMALL,
        ],
        "eval": ["eval", runs / "word", line, "--batch-size=64"],
    }
    peaks = []
    for megabytes in (1, 4):
        line.write_bytes(b"tom was asleep in the room . 12345 " * (30_000 * megabytes))
        with process(*commands[kind]) as running:
            _, status, usage = os.wait4(running.pid, 0)
            running.returncode = os.waitstatus_to_exitcode(status)
            assert running.returncode == 0, running.stderr.read()
        peaks.append(usage.ru_maxrss / 1000)  # MB
    assert peaks[1] - peaks[0] < 2 * 3  # as a list of words, the text would take ten times its size
