"""Training, validation and test text of the rooms world, the same on every machine."""

from pathlib import Path
from typing import Literal

import numpy as np

from elman.errors import ConfigError
from elman.files import atomic_write
from elman.text.rooms.world import World

VERSION = 2  # goes up whenever any split's text changes

_SPLITS = {"train": 400_000, "valid": 20_000, "test": 20_000}  # tokens, to the end of the last line


def write_split(
    path: Path, split: Literal["train", "valid", "test"], language: Literal["en", "ko"] = "en"
) -> None:
    """Write one split as UTF-8 text with a line feed after each line.

    Raises ConfigError for an unknown split or language.
    """
    if split not in _SPLITS:
        raise ConfigError(f"rooms has no split {split!r}; choose one of: {', '.join(_SPLITS)}")
    seed = [VERSION, list(_SPLITS).index(split)]
    rng = np.random.Generator(np.random.PCG64(seed))
    with atomic_write(path) as file:
        file.write(World(language).text(_SPLITS[split], rng).encode())
