"""Recipes: named sets of options in small TOML files, built in or the user's own."""

import difflib
from importlib import resources
from pathlib import Path
from typing import Any

from elman.errors import ConfigError
from elman.training.config import Config, read_toml

_FOLDER = resources.files("elman") / "training" / "recipe_files"


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with elman."""
    return sorted(
        file.name.removesuffix(".toml") for file in _FOLDER.iterdir() if file.name.endswith(".toml")
    )


def recipe_text(name: str) -> str:
    """Return the TOML of a recipe, given the name of a built-in one or the path of a file.

    Raises:
        ConfigError: there is no such recipe (the message lists them), or its file cannot be read.
    """
    if name in recipe_names():
        return (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    if name.endswith(".toml") and Path(name).is_file():
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the recipe {name} cannot be read: {error}") from error
    close = difflib.get_close_matches(name, recipe_names(), 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ConfigError(
        f"unknown recipe {name!r}; {hint}choose from {', '.join(recipe_names())}, or give the path of a .toml file"
    )


def recipe_options(recipe: str | None) -> dict[str, Any]:
    """Return the options that a recipe sets; none for None. Raises ConfigError like `configure`."""
    return read_toml(recipe_text(recipe), f"recipe {recipe}") if recipe else {}


def configure(recipe: str | None, overrides: dict[str, Any]) -> Config:
    """Return the options of a recipe (None: the defaults) with ``overrides`` on top.

    Raises:
        ConfigError: there is no such recipe, or an option is unknown or out of range.
    """
    values = recipe_options(recipe)
    Config.of(values, f"recipe {recipe}")
    return Config.of(values | overrides, "options")
