"""Corpora that need no download: a sentence, the rooms world, and stories in two languages."""

import hashlib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal, cast

from elman.text.storage import about_to_write, cache_folder, writing

HELLO = "You say goodbye and I say hello.\n" * 50
LANGUAGES: dict[str, Literal["en", "ko"]] = {"rooms": "en", "rooms-ko": "ko"}


@cache
def content(name: str) -> bytes:
    """Return hello, prose-en or prose-ko as UTF-8."""
    if name == "hello":
        return HELLO.encode()
    return resources.files("elman").joinpath("data", f"{name}.txt").read_bytes()


def files(name: str) -> dict[str, str]:
    """Return the file name of each split that a built-in corpus has."""
    return {
        split: f"{split}.txt" for split in (("train", "valid", "test") if name in LANGUAGES else ("train",))
    }


def path_of(name: str, split: str) -> Path:
    """Return where a built-in corpus lies once it is made; its folder bears the version of the text."""
    return cache_folder() / "built-in" / f"{name}-{_version(name)}" / f"{split}.txt"


def _version(name: str) -> str:
    if name not in LANGUAGES:
        return hashlib.sha256(content(name)).hexdigest()[:8]
    from elman.text import rooms

    return str(rooms.VERSION)


def make(name: str, split: str) -> Path:
    """Write a split of a built-in corpus to the user's cache; return where it is.

    Raises TextError where the cache cannot be written.
    """
    path = path_of(name, split)
    if name in LANGUAGES:
        from elman.text import rooms

        with about_to_write(path):
            rooms.write_split(path, cast(Literal["train", "valid", "test"], split), LANGUAGES[name])
    else:
        with writing(path) as file:
            file.write(content(name))
    return path
