"""The texts in a folder: all of its text files, without binary, hidden and empty files and without runs of elman."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from elman.errors import ElmanError, TextError
from elman.text.compressed import SUFFIXES
from elman.text.reading import read_bytes

SAMPLE = 8192  # bytes at the beginning of a file, among which a binary file is expected to have a NUL byte
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # byte order marks of texts that have NUL bytes
BINARY = re.compile(  # endings of files that may hold no NUL byte at their beginning
    r"\.(avi|bmp|flac|gif|ico|jpe?g|mkv|mov|mp3|mp4|ogg|png|tiff?|wav|webm|webp|docx?|epub|odt|pdf|pptx?|xlsx?"
    r"|7z|rar|tar|tgz|whl|zip|exe|pyc|so|npy|npz|onnx|pt|safetensors|eot|otf|ttf|woff2?)",
    re.IGNORECASE,
)
RUN_OPTIONS, RUN_METRICS = "config.toml", "metrics.jsonl"
RUN_LOCK = ".elman-lock"  # of a run that is being made
ENCODED, ENCODING = "corpus.json", "corpus.plan.json"  # of an encoded corpus, whole and in the making
IDS = "corpus.ids"
PARQUET = b"PAR1"  # the first bytes of such a file
NAMED = 3  # skipped files named in a warning

logger = logging.getLogger(__name__)


def texts_in(folder: Path, report: bool = True, tables: bool = False) -> list[Path]:
    """Return the text files of a folder at any depth, in order of their paths.

    Hidden files and folders and empty files are left out, so are the folders of runs (a run may be written into the
    folder that it is trained on), binary files, and the compressed copy of a file; ``report`` logs the last two as a
    warning. With ``tables`` Parquet files are texts, too.

    Raises:
        TextError: there is no text file, or the folder is an encoded corpus.
    """
    if is_encoded(folder):
        raise TextError(
            f"{folder} is an encoded corpus, which only `elman.train()` reads; name the text itself"
        )
    texts, binary, copies = [], [], []
    files = sorted(_files(folder))
    known = set(files)
    for path in files:
        if path.suffix in SUFFIXES and path.with_suffix("") in known:
            copies.append(path)
        elif _is_binary(path) and not (tables and is_parquet(path)):
            binary.append(path)
        elif not _is_empty(path):
            texts.append(path)
    if not texts:
        raise TextError(f"the folder {folder} holds no text file")
    for skipped, what in ((binary, "what is not text"), (copies, "compressed copies")):
        if skipped and report:
            names = ", ".join(str(path.relative_to(folder)) for path in skipped[:NAMED])
            more = f" and {len(skipped) - NAMED:,} more" if len(skipped) > NAMED else ""
            logger.warning("%s: skipped %s: %s%s", folder, what, names, more)
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
    marks = {RUN_LOCK, ENCODING}
    return bool(marks & {*names}) or {ENCODED, IDS} <= {*names} or {RUN_OPTIONS, RUN_METRICS} <= {*names}


def _is_of_run(name: str) -> bool:
    return name in (RUN_OPTIONS, RUN_METRICS)


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def is_encoded(path: Path) -> bool:
    """Return whether a path is that of a folder that `elman.encode` has written."""
    try:
        return (path / ENCODED).is_file() and (path / IDS).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def is_parquet(path: Path) -> bool:
    """Return whether a path is that of a Parquet file, by its first bytes; a pipe, which is read once, is none."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(PARQUET)) == PARQUET
    except OSError:
        return False


def _is_binary(path: Path) -> bool:
    """Return whether a file is not text; one that cannot be read counts as text, so that reading it says why."""
    inner = path.with_suffix("") if path.suffix in SUFFIXES else path
    if BINARY.fullmatch(inner.suffix):
        return True
    try:
        start = next(read_bytes(path, SAMPLE), b"")
    except ElmanError:
        return False
    return b"\0" in start and not start.startswith(UTF_16)
