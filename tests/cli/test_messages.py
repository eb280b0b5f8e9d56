"""Messages speak of arguments in Python, and of options at the command line."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import elman
from elman.cli import group
from elman.cli.messages import in_options
from elman.errors import ElmanError
from elman.text.datasets import resolve
from elman.text.reading import read_text
from elman.training.config import Config
from elman.training.model_options import check_options

SOURCE = Path(elman.__file__).parent
OF_THE_COMMAND_LINE = {"cli", "web"}
STARTS_A_COMMAND = {"training/processes.py"}
CSS = re.compile(r"var\(--[\w-]+\)|--[\w-]+:")  # custom properties
OPTION = re.compile(r"(^|[\s(`'\"])--[a-z]")


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and text of every string of a module that is not a docstring."""
    tree = ast.parse(path.read_text("utf-8"))
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = (node.body for node in ast.walk(tree) if isinstance(node, owners))
    docstrings = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def test_the_library_does_not_speak_of_options() -> None:
    found = [
        f"{path.relative_to(SOURCE)}, line {line}: {text!r}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path.relative_to(SOURCE).parts[0] not in OF_THE_COMMAND_LINE
        and path.relative_to(SOURCE).as_posix() not in STARTS_A_COMMAND
        for line, text in texts_of(path)
        if OPTION.search(CSS.sub("", text)) or "`elman " in text
    ]
    assert found == [], "write `name=value` or `elman.function()`; the command line translates it"


COMMAND = click.Command(
    "test",
    params=[
        click.Argument(["corpus"]),
        click.Option(["-o", "--output"]),
        click.Option(["--min-count"], type=int),
        click.Option(["--lower/--no-lower"]),
        click.Option(["--quiet"], is_flag=True),
        click.Option(["--resume"], metavar="RUN"),
        click.Option(["--to", "form"]),
        click.Option(["--dynamic-lr"]),
    ],
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("add `min_count=2`", "add --min-count 2"),
        ("`min_count` must be ≥ 1", "--min-count must be ≥ 1"),
        ("`lower=True` or `lower=False`", "--lower or --no-lower"),
        ("leave out `quiet=False`", "leave out no --quiet"),
        ("name a `corpus`", "name a CORPUS"),
        ("`output='a b'`", "--output 'a b'"),
        ("`resume=True`, `resume=...`", "--resume RUN, --resume RUN"),
        ("`resume=TEXT`", "--resume TEXT"),
        ("`to='arpa'`", "--to arpa"),
        ("`names={'rnn': 'a.b'}`, `output={'rnn': ...}`", "`names={'rnn': 'a.b'}`, --output rnn=..."),
        ("`dynamic(lr=0.1)` or `dynamic(lr)`", "--dynamic-lr 0.1 or --dynamic-lr"),
        ("`cell='lstm'` or `tie_weights=False`", "--cell lstm or --no-tie-weights"),  # options of train
        ("`train(model='ngram')`", "`elman train --model ngram`"),
        (
            "`elman.train()`, `elman.corpora()`, `elman.evaluate()`",
            "`elman train`, `elman data`, `elman eval`",
        ),
        ("`x`, `x=1`, `x()`, `f(x)`, `model.pt`", "`x`, `x=1`, `x()`, `f(x)`, `model.pt`"),
    ],
)
def test_arguments_are_shown_as_options(message: str, expected: str) -> None:
    assert in_options(message, COMMAND) == expected


def test_help_shows_options() -> None:
    train = group.get_command(click.Context(group), "train")
    assert train is not None
    of_config = [each for each in train.params if each.name in Config.__struct_fields__]
    assert len(of_config) > 40
    for parameter in of_config:
        assert isinstance(parameter, click.Option)
        assert "`" not in str(parameter.help)


def check_python(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ElmanError) as error:
        call()
    assert message in str(error.value)


def test_an_option_of_another_model(refused: Any, tmp_path: Path) -> None:
    check_python(
        lambda: check_options(Config(order=3)),
        "`order` applies only to `model='ngram'`, but model is 'rnn'; leave out `order=3`",
    )
    line = refused("train", "rooms", "-o", tmp_path / "run", "--order", 3)
    assert "--order applies only to --model ngram, but model is 'rnn'; leave out --order 3" in line


def test_a_text_in_another_encoding(refused: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("é".encode("latin-1"))
    check_python(
        lambda: list(read_text(tmp_path / "a.txt")),
        "name the file's encoding with `encoding` (latin-1, cp949, utf-16)",
    )
    line = refused("train", tmp_path / "a.txt", "-o", tmp_path / "run")
    assert "name the file's encoding with --encoding (latin-1, cp949, utf-16)" in line


def test_an_unknown_corpus(refused: Any, tmp_path: Path) -> None:
    check_python(lambda: resolve("nowhere.txt", "train"), "(`elman.corpora()` lists the named corpora)")
    line = refused("train", "nowhere.txt", "-o", tmp_path / "run")
    assert "(`elman data` lists the named corpora)" in line
