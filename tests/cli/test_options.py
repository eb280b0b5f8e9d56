"""The options of `elman train`: valid and invalid values, and which source overrides which."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from elman.cli import train
from elman.training.config import Config
from elman.training.recipes import recipe_names, recipe_text
from support.command_line import SMALL

Refused = Callable[..., str]


def stored(run: Path) -> dict[str, Any]:
    options: dict[str, Any] = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))["options"]
    return options


def test_there_is_an_option_for_every_field_and_it_shows_the_default() -> None:
    options = {each.name: each for each in train.command.params if isinstance(each, click.Option)}
    for name, default in Config().to_dict().items():
        if name == "about":
            continue
        value = {True: "yes", False: "no"}[default] if isinstance(default, bool) else default
        assert options[name].opts == [f"--{name.replace('_', '-')}"]
        assert str(options[name].help).endswith(f"[default: {value}]")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--lr", "nan", "must be a number > 0, got 'nan'"),
        ("--lr", "inf", "must be a number > 0, got 'inf'"),
        ("--lr", "1e400", "must be a number > 0"),
        ("--lr", "-1", "must be a number > 0, got '-1'"),
        ("--lr", "0", "must be a number > 0, got '0'"),
        ("--lr", "fast", "must be a number > 0, got 'fast'"),
        ("--hidden", "-3", "must be an integer ≥ 1 and ≤ 1,000,000, got '-3'"),
        ("--hidden", "2.5", "must be an integer ≥ 1"),
        ("--hidden", "3000000000000000000000", "≤ 1,000,000"),
        ("--wordvec", "-1", "must be an integer ≥ 0"),
        ("--layers", "0", "must be an integer ≥ 1"),
        ("--dropout", "1", "must be a number ≥ 0 and < 1, got '1'"),
        ("--dropout", "nan", "must be a number ≥ 0 and < 1, got 'nan'"),
        ("--clip-norm", "nan", "must be a number ≥ 0, got 'nan'"),
        ("--clip-value", "-1", "must be a number ≥ 0, got '-1'"),
        ("--weight-scale", "inf", "must be a number ≥ 0, got 'inf'"),
        ("--embedding-scale", "nan", "must be a number > 0"),
        ("--epochs", "0", "must be an integer ≥ 1, got '0'"),
        ("--iterations", "-1", "must be an integer ≥ 0"),
        ("--time-budget", "-1", "'-1' is not a time; write 90s, 10m or 2h"),
        ("--time-budget", "nan", "'nan' is not a time"),
        ("--time-budget", "5y", "'5y' is not a time"),
        ("--checkpoint-every", "nan", "must be a number > 0"),
        ("--seed", "-1", "must be an integer ≥ 0"),
        ("--seed", "", "must be an integer ≥ 0, got ''"),
        ("--cell", "gruu", "'gruu' is not one of 'rnn', 'lstm', 'gru'"),
        ("--max-tokens", "-5", "must be an integer ≥ 0"),
    ],
)
def test_invalid_value_is_a_one_line_error(
    refused: Refused, story: Path, option: str, value: str, message: str
) -> None:
    line = refused("train", story, "-o", "run", *SMALL, option, value)
    assert f"'{option}'" in line
    assert message in line
    assert line.endswith("type: elman train --help")
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hiden", "3"], "No such option '?--hiden.*--hidden"),
        (["--max-vocab", "1"], "max_vocab must be at least 3, got 1"),
        (["--wrap", "restart"], "wrap 'restart' needs batch size 1, got 2"),
        (
            ["--tie-weights"],
            "tied weights need word vectors as wide as the hidden state, got wordvec 5 and hidden 6",
        ),
        (
            ["--recipe", "textbok"],
            "unknown recipe 'textbok'; did you mean 'textbook'.*choose from bytes, char-lstm",
        ),
        (
            ["--recipe", "mine.toml"],
            "unknown recipe 'mine.toml'; choose from .*or give the path of a .toml file",
        ),
        (["--valid", "-"], "only the CORPUS can come from standard input; name a file to validate on"),
        (["--valid", "gone.txt"], "no file, folder or named corpus 'gone.txt'"),
    ],
    ids=" ".join,
)
def test_conflicting_options_are_refused(
    refused: Refused, story: Path, options: list[str], message: str
) -> None:
    assert re.search(message, refused("train", story, "-o", "run", *SMALL, *options))
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'hidden = "a"',
            "recipe my.toml: hidden must be an integer ≥ 1 and ≤ 1,000,000, got 'a'",
        ),
        (b"hiden = 3", "recipe my.toml: unknown option 'hiden'; did you mean hidden?"),
        (b"lr = nan", "recipe my.toml: lr must be a number > 0, got nan"),
        (b"lr = inf", "recipe my.toml: lr must be a number > 0, got inf"),
        (b"hidden = 3000000000000000000000", "recipe my.toml: hidden must be an integer"),
        (b'cell = "elman"', "recipe my.toml: cell must be rnn or lstm or gru or"),
        (b"hidden ==== 3", "recipe my.toml is not valid TOML"),
        (b'about = "caf\xe9"', "the recipe my.toml cannot be read: 'utf-8' codec can't decode byte 0xe9"),
    ],
)
def test_bad_recipe_is_a_one_line_error(refused: Refused, story: Path, content: bytes, message: str) -> None:
    Path("my.toml").write_bytes(content)
    assert message in refused("train", story, "-o", "run", "--recipe", "my.toml")


def test_recipes_can_be_listed_and_are_toml(command: Any) -> None:
    listed = command("train", "--list-recipes").out
    for name in recipe_names():
        assert f"# {name}\n{recipe_text(name)}" in listed
    assert set(tomllib.loads(recipe_text("textbook"))) > {"about", "hidden", "lr"}


def test_command_line_overrides_recipe(command: Any, story: Path, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(
        'cell = "gru"\nhidden = 7\nepochs = 2\nlower = true\n', encoding="utf-8"
    )
    given = ["--recipe", "my.toml", "--hidden", "5", "--batch-size=2", "--time-size=4", "--no-lower"]
    assert command("train", story, "-o", "run", *given, "--time-budget", "1.5m").code == 0
    used = stored(tmp_path / "run")
    assert (used["cell"], used["epochs"]) == ("gru", 2)  # the recipe's
    assert (used["hidden"], used["lower"], used["time_budget"]) == (5, False, 90)  # the command line's
    assert used["lr"] == Config().lr  # the default
    assert set(used) == set(Config().to_dict())


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1.5 h", 5400), ("1d", 86400)]
)
def test_a_time_can_be_written_with_its_unit(
    command: Any, story: Path, tmp_path: Path, text: str, seconds: float
) -> None:
    assert command("train", story, "-o", "run", *SMALL, "--time-budget", text).code == 0
    assert stored(tmp_path / "run")["time_budget"] == seconds
