"""Corpora by name, file or folder: found on this machine, generated, or downloaded and verified."""

import hashlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from elman.errors import DatasetError, TextError
from elman.files import cache_folder, reason, writing
from elman.results import Table
from elman.text.folders import texts_in
from elman.text.registry import (
    SPLITS,
    Dataset,
    builtin_path,
    datasets,
    is_named,
    named,
    suggestion,
    write_builtin,
)

__all__ = ["Corpora", "Dataset", "corpora", "datasets", "fetch", "is_named", "locate", "resolve", "spool"]

TIMEOUT = 30.0  # seconds without a byte

logger = logging.getLogger(__name__)


class Corpora(Table[Dataset]):
    """The named corpora; ``folder`` in `to_dict` is None for one that is not on this machine."""

    left = 5

    def row_dict(self, row: Dataset) -> dict[str, Any]:
        """Return the columns of a corpus; ``size`` is in bytes."""
        found = locate(row)
        return {
            "name": row.name,
            "size": row.size,
            "licence": row.licence,
            "folder": str(next(iter(found.values())).parent) if found else None,
            "description": row.description,
        }

    def text_rows(self) -> list[list[str]]:
        """Return the table as text."""
        return [["name", "size", "licence", "where", "what"], *map(self._text_row, map(self.row_dict, self))]

    def _text_row(self, row: dict[str, Any]) -> list[str]:
        where = row["folder"] or f"not here yet: elman data {row['name']}"
        return [row["name"], f"{row['size'] / 1e6:.1f} MB", row["licence"], where, row["description"]]


def corpora() -> Corpora:
    """Return the named corpora with size, licence and place.

    >>> "ptb" in corpora().to_dict()["name"]
    True
    """
    return Corpora(datasets())


def locate(name: str | Dataset) -> dict[str, Path] | None:
    """Return the path of each split of a corpus on this machine; None if any is missing. Downloads nothing."""
    chosen = named(name) if isinstance(name, str) else name
    found = {split: _find(chosen, split) for split in chosen.files}
    here = {split: path for split, path in found.items() if path is not None}
    return here if len(here) == len(found) else None


def fetch(name: str | Dataset, progress: bool = False, mirror: str | None = None) -> dict[str, Path]:
    """Return the path of each split of a corpus, downloading those that are not on this machine.

    A file is searched for in ``$ELMAN_DATA/NAME/``, then in the user's cache ($ELMAN_CACHE), then downloaded to
    the cache and verified. ``mirror`` (or $ELMAN_MIRROR) is a base URL to download ``NAME/FILE`` from instead.
    ``progress`` draws a bar on stderr. Raises DatasetError if a download fails; files downloaded before it
    are kept and not downloaded again.
    """
    chosen = named(name) if isinstance(name, str) else name
    return {split: _obtain(chosen, split, progress, mirror) for split in chosen.files}


def resolve(
    corpus: str | os.PathLike[str], split: str = "train", progress: bool = False, report: bool = True
) -> list[Path]:
    """Return the files that a corpus argument refers to: a named corpus's split, a file, or a folder's texts.

    A named corpus takes precedence over a file or folder of the same name, which can be written ``./NAME``; one that
    has a single split stands for it, whichever ``split`` is requested. A folder stands for all text files in it,
    see `texts_in`. ``report`` logs that a split was replaced or files of a folder were left out.

    Raises TextError or DatasetError if there is no such file, folder or corpus.
    """
    corpus = os.fspath(corpus)
    if is_named(corpus):
        found = named(corpus)
        return [_obtain(found, _split_of(found, split, report), progress, None)]
    path = Path(corpus)
    if path.is_dir():
        return texts_in(path, report)
    if path.exists():
        return [path]
    raise TextError(
        f"there is no file, folder or named corpus {corpus!r}{suggestion(corpus)} "
        "(`elman.corpora()` lists the named corpora)"
    )


def _split_of(chosen: Dataset, split: str, report: bool) -> str:
    """Return the split to read instead of one that a corpus of a single split does not have."""
    if split in chosen.files or len(chosen.files) > 1 or split not in SPLITS:
        return split
    (only,) = chosen.files
    if report:
        logger.info("%s has no split %r; reading its only one, %r", chosen.name, split, only)
    return only


def spool(chunks: Iterable[bytes], folder: Path, prefix: str = "text") -> Path:
    """Copy bytes that can be read only once to a file in ``folder`` named by its content; return the path.

    The same content always gives the same file, left untouched, so that encodings cached for it stay valid.
    """
    digest = hashlib.sha256()
    waiting = folder / f".{prefix}-{os.getpid()}"
    with writing(waiting) as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
    path = folder / f"{prefix}-{digest.hexdigest()[:16]}.txt"
    if path.exists():
        waiting.unlink()
    else:
        waiting.replace(path)
    return path


def _places(chosen: Dataset, split: str) -> list[Path]:
    if chosen.built_in:
        return [builtin_path(chosen.name, split)]
    given = os.environ.get("ELMAN_DATA")
    folders = [Path(given).expanduser()] if given else []
    return [folder / chosen.name / chosen.files[split] for folder in (*folders, cache_folder())]


def _find(chosen: Dataset, split: str) -> Path | None:
    return next((path for path in _places(chosen, split) if path.is_file()), None)


def _obtain(chosen: Dataset, split: str, progress: bool, mirror: str | None) -> Path:
    if split not in chosen.files:
        raise DatasetError(f"{chosen.name} has no split {split!r}; it has {', '.join(chosen.files)}")
    if found := _find(chosen, split):
        return found
    if chosen.built_in:
        return write_builtin(chosen.name, split)
    path = _places(chosen, split)[-1]
    base = mirror or os.environ.get("ELMAN_MIRROR")
    url = f"{base.rstrip('/')}/{chosen.name}/{path.name}" if base else chosen.urls[split]
    download(url, path, chosen.sha256[split], progress)
    return path


def download(url: str, path: Path, sha256: str, progress: bool = False) -> None:
    """Download a file and verify its checksum before it takes its name; ``progress`` draws a bar on stderr.

    Raises DatasetError if the transfer fails or breaks off, the checksum differs, or the folder cannot be
    written; no partial file is left behind.
    """
    import pooch  # with requests it takes longer to import than the rest of elman together
    import requests
    from tqdm import tqdm

    pooch.get_logger().setLevel("WARNING")  # it announces each download on stderr
    try:
        # A tqdm bar whose total is 0 is falsy, and pooch would then ignore it; pooch sets the real total later.
        with tqdm(total=1, unit="B", unit_scale=True, desc=path.name, disable=not progress) as bar:
            fetch = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT)
            pooch.retrieve(url, f"sha256:{sha256}", fname=path.name, path=path.parent, downloader=fetch)
    except requests.RequestException as error:
        raise DatasetError(f"{url} cannot be fetched: {_cause(error)}; {_advice(path)}") from error
    except ValueError as error:
        message = f"the download from {url} does not have the checksum sha256:{sha256}; {_advice(path)}"
        raise DatasetError(message) from error
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be written: {reason(error)}; free some space or set ELMAN_CACHE to another folder"
        ) from error


def _cause(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT:.0f} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the transfer broke off"
    return "no connection"


def _advice(path: Path) -> str:
    return f"try again, or put {path.name} into {path.parent} yourself"
