"""The command `elman` as a whole: imports, errors, interruption."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import elman
from elman.cli import COMMANDS, group
from support.waiting import LONG

Refused = Callable[..., str]
Process = Callable[..., subprocess.Popen[bytes]]


def test_promised_commands_exist() -> None:
    promised = ["demo", "train", "eval", "score", "generate", "plot", "check-gradients", "bench", "data"]
    assert set(promised) <= set(COMMANDS)


@pytest.mark.parametrize("argument", ["--help", "-h", "--version"])
def test_help_and_version_load_nothing_heavy(argument: str) -> None:
    code = (
        "import sys\nfrom elman.cli import main\n"
        f"try: main([{argument!r}])\nexcept SystemExit: pass\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=LONG,
        cwd=Path(elman.__file__).parents[1],
    )
    assert ("Usage: elman" in done.stdout) != ("version" in done.stdout.split("\n")[0])
    loaded = set(done.stdout.split())
    assert "elman.cli" in loaded
    assert not loaded & {"numpy", "matplotlib", "safetensors", "tqdm", "msgspec", "pooch", "requests"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name: str) -> None:
    context = click.Context(group, **group.context_settings)
    command = group.get_command(context, name)
    assert command.help
    assert COMMANDS[name][1].endswith(".")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
    assert name in group.get_help(context)


@pytest.mark.parametrize("name", ["train", "eval", "score", "generate", "plot"])
def test_command_without_arguments_prints_its_help(command: Any, name: str) -> None:
    outcome = command(name)
    text = outcome.out + outcome.err
    assert outcome.code == 2
    assert f"Usage: elman {name}" in text
    assert "default" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "there is no command 'trian'; did you mean train?.*elman --help"),
        (["xyz"], "there is no command 'xyz'; choose from demo, train, eval.*elman --help"),
        (["--verbos"], "No such option.*--verbos.*elman --help"),
        (["eval", "run"], "Missing argument 'TEXT'.*elman eval --help"),
        (["generate", "run", "--tempratur", "1"], "No such option.*--tempratur.*elman generate --help"),
        (["generate", "run", "-n", "many"], "Invalid value for '-n'.*many.*elman generate --help"),
        (["demo", "--language", "fr"], "'fr' is not one of 'en', 'ko'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistyped_command_is_a_one_line_error(refused: Refused, arguments: list[str], message: str) -> None:
    assert re.search(message, refused(*arguments))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "out of memory; try a smaller --hidden"),
        (OSError(28, "No space left on device"), "the output: no space left on device"),
        (PermissionError(13, "Permission denied", "/some/file"), "/some/file: permission denied"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_system_error_is_a_one_line_error(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(path: Path) -> None:
        raise error

    monkeypatch.setattr("elman.cli.generate.load", fail)
    assert message in refused("generate", "run")


@pytest.mark.parametrize("error", [KeyboardInterrupt, click.Abort])
def test_interruption_exits_with_130(
    command: Any, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fail(path: Path) -> None:
        raise error

    monkeypatch.setattr("elman.cli.generate.load", fail)
    outcome = command("generate", "run")
    assert (outcome.code, outcome.out, outcome.err.strip()) == (130, "", "elman: interrupted")


def test_ctrl_c_stops_generate(process: Process, runs: Path) -> None:
    with process("generate", runs / "word", "-n", 10**9) as running:
        assert running.stdout is not None
        assert running.stdout.read(1000)  # it streams
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=LONG)
    assert (running.returncode, errors.decode().strip()) == (130, "elman: interrupted")


@pytest.mark.parametrize(
    "arguments",
    [("eval", "{runs}/word", "-"), ("score", "{runs}/word"), ("train", "-", "-o", "{new}")],
    ids=" ".join,
)
def test_ctrl_c_stops_reading_a_pipe(
    process: Process, runs: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    new = tmp_path / "new"
    given = [argument.format(runs=runs, new=new) for argument in arguments]
    with process(*given, stdout=subprocess.DEVNULL) as running:
        assert running.stdin is not None
        running.stdin.write(b"tom was asleep .\n" * 8000)  # more than a pipe holds: it is being read
        running.stdin.flush()
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=LONG)
    assert running.returncode == 130, errors
    assert errors.decode().strip() == "elman: interrupted"
    assert not new.exists()


def test_closed_pipe_ends_without_a_message(process: Process, runs: Path) -> None:
    with process("generate", runs / "word", "-n", 100_000) as running:
        assert running.stdout is not None
        assert running.stdout.readline()
        running.stdout.close()
        assert running.stderr is not None
        errors = running.stderr.read()
        running.wait(timeout=LONG)
    assert errors == b""
    assert running.returncode != 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk_is_a_one_line_error(process: Process, runs: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        running = process("generate", runs / "word", "-n", 3, stdout=full)
        _, errors = running.communicate(timeout=LONG)
    assert (running.returncode, errors.decode().strip()) == (1, "elman: the output: no space left on device")


def test_unencodable_characters_become_question_marks(process: Process, runs: Path) -> None:
    arguments = ("generate", runs / "korean", "-n", 5, "--prompt", "톰")
    running = process(*arguments, encoding="latin-1:strict")
    text, errors = running.communicate(timeout=LONG)
    assert running.returncode == 0, errors
    assert text.startswith(b"?")


@pytest.mark.parametrize("arguments", [("eval", "{runs}/word", "-"), ("score", "{runs}/word")], ids=" ".join)
def test_closed_standard_input_is_a_one_line_error(
    refused: Refused, runs: Path, arguments: tuple[str, ...]
) -> None:
    line = refused(*(argument.format(runs=runs) for argument in arguments), stdin=None)
    assert line == "standard input is closed; redirect a file to it, or name a file"
