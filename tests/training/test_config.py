"""The options of a training: checked once, with names and bounds in the message."""

from typing import Any

import pytest

from elman.errors import ConfigError
from elman.training.config import Config, read_toml, write_toml
from elman.training.optimizers import OPTIMIZERS


def test_options_come_back_through_toml() -> None:
    config = Config.of({"level": "char", "lr": 0.5, "lower": True, "about": 'a "quoted" 글'}, "here")
    assert Config.of(read_toml(write_toml(config.to_dict()), "there"), "there") == config


def test_what_is_not_given_has_its_default() -> None:
    assert Config.of({}, "here") == Config()
    assert Config.of({"epochs": 3}, "here").epochs == 3
    assert Config.of({"epochs": 3}, "here").lr == Config().lr


def test_a_whole_number_will_do_for_a_number() -> None:
    assert Config.of({"lr": 1, "dropout": 0}, "here").lr == 1.0


def test_options_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Config().lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hiden": 100}, "here: .*unknown field `hiden`"),
        ({"hidden": 0}, r"`int` >= 1 - at `\$.hidden`"),
        ({"hidden": 2.5}, r"Expected `int`, got `float` - at `\$.hidden`"),
        ({"hidden": "100"}, r"Expected `int`, got `str` - at `\$.hidden`"),
        ({"lower": 1}, r"Expected `bool`, got `int` - at `\$.lower`"),
        ({"cell": "elman"}, r"Invalid enum value 'elman' - at `\$.cell`"),
        ({"optimizer": "lion"}, r"Invalid enum value 'lion' - at `\$.optimizer`"),
        ({"dropout": 1.0}, r"`float` < 1.* - at `\$.dropout`"),
        ({"lr": 0}, r"`float` > 0.* - at `\$.lr`"),
        ({"lr": float("nan")}, r"lr"),
        ({"checkpoint_every": 0}, r"checkpoint_every"),
        ({"embedding_scale": 0}, r"embedding_scale"),
        ({"epochs": 0}, r"epochs"),
        ({"seed": -1}, r"seed"),
        ({"time_budget": -5}, r"time_budget"),
    ],
    ids=str,
)
def test_what_is_out_of_range_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.of(values, "here")


def test_every_optimizer_can_be_asked_for() -> None:
    for name in OPTIMIZERS:
        assert Config.of({"optimizer": name}, "here").optimizer == name


def test_toml_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"my.toml is not valid TOML: .*line 2"):
        read_toml("seed = 1\nlevel = = 2\n", "my.toml")
