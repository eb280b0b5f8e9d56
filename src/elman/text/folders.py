"""The texts in a folder: all of its text files, without binary, hidden and empty files and without runs of elman."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from elman.errors import TextError

SAMPLE = 8192  # bytes at the beginning of a file, among which a binary file is expected to have a NUL byte
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # byte order marks of texts that have NUL bytes
BINARY = re.compile(  # endings of files that may hold no NUL byte at their beginning
    r"\.(avi|bmp|flac|gif|ico|jpe?g|mkv|mov|mp3|mp4|ogg|png|tiff?|wav|webm|webp|docx?|epub|odt|pdf|pptx?|xlsx?"
    r"|7z|bz2|gz|rar|tar|tgz|whl|xz|zip|zst|exe|pyc|so|npy|npz|onnx|pt|safetensors|eot|otf|ttf|woff2?)",
    re.IGNORECASE,
)
RUN_OPTIONS, RUN_METRICS = "config.toml", "metrics.jsonl"
RUN_LOCK = ".elman-lock"  # of a run that is being made
NAMED = 3  # skipped files named in a warning

logger = logging.getLogger(__name__)


def texts_in(folder: Path, report: bool = True) -> list[Path]:
    """Return the text files of a folder at any depth, in order of their paths.

    Hidden files and folders and empty files are left out, so are the folders of runs (a run may be written into the
    folder that it is trained on) and binary files, which ``report`` logs as a warning.

    Raises:
        TextError: there is no text file.
    """
    texts, binary = [], []
    for path in sorted(_files(folder)):
        if _is_binary(path):
            binary.append(path)
        elif not _is_empty(path):
            texts.append(path)
    if not texts:
        raise TextError(f"the folder {folder} holds no text file")
    if binary and report:
        names = ", ".join(str(path.relative_to(folder)) for path in binary[:NAMED])
        more = f" and {len(binary) - NAMED:,} more" if len(binary) > NAMED else ""
        logger.warning("%s: skipped what is not text: %s%s", folder, names, more)
    return texts


def _files(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder, except hidden ones and those of runs."""
    for place, folders, names in os.walk(folder):
        here = Path(place)
        own: set[str] = set()
        if _is_run(names):
            if here != folder:
                folders.clear()
                continue
            own = {name for name in names if _is_of_run(name)}
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name not in own and (here / name).is_file():
                yield here / name


def _is_run(names: list[str]) -> bool:
    return RUN_LOCK in names or {RUN_OPTIONS, RUN_METRICS} <= {*names}


def _is_of_run(name: str) -> bool:
    return name in (RUN_OPTIONS, RUN_METRICS)


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def _is_binary(path: Path) -> bool:
    """Return whether a file is not text; one that cannot be read counts as text, so that reading it says why."""
    if BINARY.fullmatch(path.suffix):
        return True
    try:
        with path.open("rb") as file:
            start = file.read(SAMPLE)
    except OSError:
        return False
    return b"\0" in start and not start.startswith(UTF_16)
