"""Where the texts of a run are when it is resumed: at their old places, or where they have moved."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elman.errors import RunError, TextError
from elman.formats.run_files import CONFIG_NAME
from elman.text import datasets
from elman.text.reading import sha256_of
from elman.training.config import AUTO
from elman.training.corpora import NO_VALIDATION, RunCorpora, absolute_source, text_files

KINDS = {"corpus": "training", "valid": "validation"}
Base = tuple[Path, Path]  # a folder at its old and at its new place


def current_places(
    stored: Mapping[str, Any], folder: Path, info: Mapping[str, Any], corpus: str | None, valid: str | None
) -> dict[str, Any]:
    """Return what a run has stored, with the present places of its texts and of its ``folder``.

    A text that is not at its old place is looked for at the same place relative to the run folder, which may have moved
    together with it; a validation text also relative to the training text. ``corpus`` and ``valid`` are new places of
    the two. A text at a new place must be the same text, as far as ``info`` records its checksum.

    Raises:
        RunError: a text is another one than before, or ``valid`` is given for a run that has no such text.
        TextError: a text cannot be found or read.
    """
    was, here = stored.get("folder"), folder.absolute()
    bases = [(Path(was), here)] if was else []
    old_corpus, old_valid = stored["corpus"], stored["valid"]
    places = {**stored, "folder": str(here)}
    places["corpus"] = absolute_source(corpus) if corpus else _found(old_corpus, bases, folder, "corpus")
    if valid is None:
        bases += [(Path(old_corpus).parent, Path(places["corpus"]).parent)]
        places["valid"] = _found(old_valid, bases, folder, "valid")
    else:
        places["valid"] = absolute_source(valid)
        _check_replaceable(places["valid"], old_valid, folder, info)
    for what in ("corpus", "valid"):
        if places[what] != stored[what]:
            files = text_files(places[what], "train" if what == "corpus" else "valid")
            check_text(what, places[what], sha256_of(files), folder, info, moved=True)
    return places


def check_texts(
    corpora: RunCorpora,
    places: Mapping[str, Any],
    folder: Path,
    info: Mapping[str, Any],
    validation: str | None,
) -> None:
    """Raise RunError unless the texts are those with which a run was started, to the last byte of their files.

    The files are read: that they have kept their sizes and times says little. ``validation`` is what
    `RunCorpora.validation` was at the start; None for runs that do not record it.
    """
    if validation not in (None, corpora.validation):
        raise RunError(
            f"{folder} was started with {validation}, and its {CONFIG_NAME} now names {corpora.validation}; restore "
            f"`valid` in that file, or start a new run"
        )
    texts = {"corpus": corpora.train}
    if corpora.valid is not None and not corpora.held_out:
        texts["valid"] = corpora.valid
    for what, text in texts.items():
        place = places[what] or places["corpus"]
        for sha256 in (sha256_of(text.sources), text.sha256):
            check_text(what, place, sha256, folder, info)


def check_text(
    what: str, place: str, sha256: str, folder: Path, info: Mapping[str, Any], moved: bool = False
) -> None:
    """Raise RunError if a text ("corpus" or "valid") has another checksum than when the run was started."""
    expected = info.get(f"{what}_sha256")
    if what == "valid" and expected is None:  # runs of elman 0.2 do not record it
        return
    if sha256 != expected:
        text = f"the {KINDS[what]} text {place!r}"
        if moved:
            raise RunError(
                f"{text} is not the one that {folder} was started with: its SHA-256 begins with {sha256[:8]}, not "
                f"{str(expected)[:8]}; give that text, or start a new run"
            )
        raise RunError(f"{text} has changed since {folder} was started; restore it, or start a new run")


def _is_path(place: str) -> bool:
    return bool(place) and place not in (AUTO, NO_VALIDATION) and not datasets.is_named(place)


def _found(place: str, bases: list[Base], folder: Path, what: str) -> str:
    """Return where a text is now."""
    if not _is_path(place) or Path(place).exists():
        return place
    for old, new in bases:
        if Path(place).anchor == old.anchor:  # on Windows, the same drive
            moved = os.path.normpath(new / os.path.relpath(place, old))
            if Path(moved).exists():
                return moved
    raise TextError(
        f"the {KINDS[what]} text of {folder} is no longer at {place}; if it has moved, give its new place as `{what}`"
    )


def _check_replaceable(valid: str, old: str, folder: Path, info: Mapping[str, Any]) -> None:
    """Raise RunError unless the validation text of a run is one that can be at another place."""
    if valid == old or (_is_path(valid) and (_is_path(old) or "valid_sha256" in info)):
        return
    now = {AUTO: "the end of its training text", NO_VALIDATION: "no text", "": "no text of its own"}
    raise RunError(
        f"{folder} was started with validation on {now.get(old, old)} and cannot continue with {valid!r}; "
        "leave out `valid`, or start a new run"
    )
