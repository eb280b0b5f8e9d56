"""Recipes: named sets of options, as small TOML files, ours or the user's own."""

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
    """Return a recipe's TOML: one of ours by name, or a file by its path.

    Raises:
        ConfigError: there is no such recipe, and names the nearest ones; or its file cannot be read.
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
        f"there is no recipe {name!r}; {hint}choose from {', '.join(recipe_names())}, or name a .toml file"
    )


def recipe_options(recipe: str | None) -> dict[str, Any]:
    """Return what a recipe sets, by option; nothing for None. Raises ConfigError as `configure` does."""
    return read_toml(recipe_text(recipe), f"recipe {recipe}") if recipe else {}


def configure(recipe: str | None, overrides: dict[str, Any]) -> Config:
    """Return the options of a recipe (None: the defaults) with ``overrides`` on top.

    Raises:
        ConfigError: no such recipe, or an option that is unknown or out of range.
    """
    values = recipe_options(recipe)
    Config.of(values, f"recipe {recipe}")
    return Config.of(values | overrides, "options")
