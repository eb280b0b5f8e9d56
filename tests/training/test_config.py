"""The options of a training: checked once, with names and bounds in the message."""

import re
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


def test_an_integer_is_a_valid_number() -> None:
    assert Config.of({"lr": 1, "dropout": 0}, "here").lr == 1.0


def test_options_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Config().lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hiden": 100}, "here: unknown option 'hiden'; did you mean hidden?"),
        ({"xyz": 100}, "here: unknown option 'xyz'"),
        ({"hidden": 0}, "here: hidden must be an integer ≥ 1 and ≤ 1,000,000, got 0"),
        ({"hidden": 10**9}, "≤ 1,000,000, got 1000000000"),
        ({"hidden": 2.5}, "hidden must be an integer ≥ 1 and ≤ 1,000,000, got 2.5"),
        ({"hidden": "100"}, "got '100'"),
        ({"lower": 1}, "lower must be true or false, got 1"),
        ({"about": 1}, "about must be a string, got 1"),
        ({"cell": "elman"}, "cell must be rnn or lstm or gru or"),
        (
            {"optimizer": "lion"},
            "optimizer must be sgd or momentum or adagrad or rmsprop or adam, got 'lion'",
        ),
        ({"dropout": 1.0}, "dropout must be a number ≥ 0 and < 1, got 1.0"),
        ({"dropout": float("nan")}, "got nan"),
        ({"lr": 0}, "lr must be a number > 0, got 0"),
        ({"lr": float("inf")}, "lr must be a number > 0, got inf"),
        ({"checkpoint_every": 0}, "checkpoint_every must be a number > 0"),
        ({"embedding_scale": 0}, "embedding_scale must be"),
        ({"epochs": 0}, "epochs must be"),
        ({"seed": -1}, "seed must be an integer ≥ 0, got -1"),
        ({"time_budget": -5}, "time_budget must be a number ≥ 0, got -5"),
    ],
    ids=str,
)
def test_what_is_out_of_range_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Config.of(values, "here")


def test_every_optimizer_is_a_valid_option() -> None:
    for name in OPTIMIZERS:
        assert Config.of({"optimizer": name}, "here").optimizer == name


def test_invalid_toml_is_named() -> None:
    with pytest.raises(ConfigError, match=r"my.toml is not valid TOML \(.*line 2"):
        read_toml("seed = 1\nlevel = = 2\n", "my.toml")


def test_times_have_units() -> None:
    for time, seconds in (("90s", 90), ("10m", 600), ("2h", 7200), ("1.5", 1.5), (4, 4)):
        assert Config.of({"time_budget": time}, "options").time_budget == seconds
    with pytest.raises(ConfigError, match="'soon' is not a time; write 90s, 10m or 2h"):
        Config.of({"time_budget": "soon"}, "options")
