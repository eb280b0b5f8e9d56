"""Recipes: built-in ones, the user's own, and which options take precedence."""

from pathlib import Path

import pytest

from elman.errors import ConfigError
from elman.training.config import Config
from elman.training.recipes import configure, recipe_names, recipe_text


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_valid_set_of_options_and_says_what_it_is_for(name: str) -> None:
    assert len(configure(name, {}).about) > 20
    assert recipe_text(name).startswith("about")


def test_the_two_programs_of_the_chapter_are_recipes() -> None:
    textbook, character = configure("textbook", {}), configure("min-char-rnn", {})
    assert (textbook.max_tokens, textbook.batch_size, textbook.time_size) == (1000, 10, 5)
    assert (textbook.wordvec, textbook.hidden, textbook.optimizer, textbook.lr) == (100, 100, "sgd", 0.1)
    assert (textbook.epochs, textbook.clip_norm, textbook.clip_value) == (100, 0, 0)
    assert (character.level, character.wordvec, character.hidden) == ("char", 0, 100)
    assert (character.batch_size, character.time_size, character.wrap) == (1, 25, "restart")
    assert (character.reduction, character.clip_value, character.weight_scale) == ("sum", 5, 0.01)
    assert (character.optimizer, character.lr, character.sample_length) == ("adagrad", 0.1, 200)


def test_an_override_wins_over_the_recipe_and_the_recipe_over_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('cell = "gru"\nhidden = 7\n', encoding="utf-8")
    assert configure(str(path), {"hidden": 9}) == Config(cell="gru", hidden=9)
    assert configure(None, {"hidden": 9}) == Config(hidden=9)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("texbook", "unknown recipe 'texbook'; did you mean 'textbook'"),
        ("xyz", "unknown recipe 'xyz'; choose from .*min-char-rnn"),
        ("no/such.toml", "unknown recipe 'no/such.toml'"),
    ],
)
def test_an_unknown_recipe_names_the_known_ones(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configure(name, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hidden = ", "not valid TOML"),
        (b"hidden = " + b"[" * 10_000, "not valid TOML .nested too deeply"),
        (b"hidden = 0", r"recipe .*bad.toml: .*hidden"),
        (b"hiden = 5", r"recipe .*bad.toml: .*hiden"),
        (b'about = "\xff\xfe"', r"recipe .*bad.toml cannot be read: .*utf-8"),
    ],
)
def test_a_bad_recipe_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        configure(str(tmp_path / "bad.toml"), {})


def test_a_bad_override_is_an_options_error() -> None:
    with pytest.raises(ConfigError, match=r"options: .*hidden"):
        configure("textbook", {"hidden": 0})
