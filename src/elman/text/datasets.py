"""Corpora by name, file or folder: found on this machine, made, or fetched.

One file from the network: whole and verified, or not there.
"""

import hashlib
import os
from pathlib import Path
from typing import IO

from elman.errors import DatasetError, TextError
from elman.files import cache_folder, reason, writing
from elman.text import registry
from elman.text.registry import Dataset, datasets, is_named, like, named

TIMEOUT = 30.0  # seconds without a byte


def download(url: str, path: Path, sha256: str, progress: bool = False) -> None:
    """Fetch a file and check it before it takes its name; ``progress`` draws a bar on stderr.

    Raises DatasetError where the transfer fails or breaks off, the checksum differs, or the folder cannot be
    written; nothing is left behind then.
    """
    import pooch
    import requests
    from tqdm import tqdm

    pooch.get_logger().setLevel("WARNING")  # it announces each download on stderr
    try:
        # The total, set once it is known, must not be 0: a bar is as true as its total, and pooch asks.
        with tqdm(total=1, unit="B", unit_scale=True, desc=path.name, disable=not progress) as bar:
            fetch = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT)
            pooch.retrieve(url, f"sha256:{sha256}", fname=path.name, path=path.parent, downloader=fetch)
    except requests.RequestException as error:
        raise DatasetError(f"{url} cannot be fetched: {_cause(error)}; {_advice(path)}") from error
    except ValueError as error:
        message = f"what came from {url} does not have the checksum sha256:{sha256}; {_advice(path)}"
        raise DatasetError(message) from error
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be written: {reason(error)}; free space or set ELMAN_CACHE"
        ) from error


def _cause(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server says {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT:.0f} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the transfer broke off"
    return "no connection"


def _advice(path: Path) -> str:
    return f"try again, or put {path.name} into {path.parent} yourself"


__all__ = ["Dataset", "datasets", "fetch", "is_named", "locate", "resolve", "spool"]


def locate(name: str | Dataset) -> dict[str, Path] | None:
    """Return where each split of a corpus lies on this machine, or None unless all do; fetch nothing."""
    chosen = named(name) if isinstance(name, str) else name
    found = {split: _find(chosen, split) for split in chosen.files}
    here = {split: path for split, path in found.items() if path is not None}
    return here if len(here) == len(found) else None


def fetch(name: str | Dataset, progress: bool = False, mirror: str | None = None) -> dict[str, Path]:
    """Return where each split of a corpus lies, after fetching those that are not on this machine.

    A file is looked for in ``$ELMAN_DATA/NAME/``, then in the user's cache ($ELMAN_CACHE), then fetched to
    the cache and checked; ``mirror`` (or $ELMAN_MIRROR) is a base URL to fetch ``NAME/FILE`` from instead.
    ``progress`` draws a bar on stderr. Raises DatasetError for a failed transfer; files fetched before it
    are kept, and not fetched again.
    """
    chosen = named(name) if isinstance(name, str) else name
    return {split: _obtain(chosen, split, progress, mirror) for split in chosen.files}


def resolve(corpus: str, split: str = "train", progress: bool = False) -> list[Path]:
    """Return the files that a corpus argument means: a named corpus's split, a file, or a folder's texts.

    A name is taken before a file or folder of that name, which can be written ``./NAME``. Of a folder, all
    ``*.txt`` are taken in order of their paths, at any depth, but hidden ones. Raises TextError or
    DatasetError where there is nothing of the kind.
    """
    if is_named(corpus):
        return [_obtain(named(corpus), split, progress, None)]
    path = Path(corpus)
    if path.is_dir():
        return _texts_in(path)
    if path.exists():
        return [path]
    raise TextError(
        f"there is no file, folder or named corpus {corpus!r}{like(corpus)} "
        "(`elman data` lists the named corpora)"
    )


def spool(stream: IO[bytes], folder: Path) -> Path:
    """Write a stream that can be read only once to a file in ``folder``, named after its content; return it.

    The same content gives the same, untouched file, so that what was made from it can be used again.
    """
    digest = hashlib.sha256()
    waiting = folder / f".stdin-{os.getpid()}"
    with writing(waiting) as file:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
            file.write(chunk)
    path = folder / f"stdin-{digest.hexdigest()[:16]}.txt"
    if path.exists():
        waiting.unlink()
    else:
        waiting.replace(path)
    return path


def _texts_in(folder: Path) -> list[Path]:
    texts = [
        path
        for path in sorted(folder.rglob("*.txt"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not texts:
        raise TextError(f"the folder {folder} holds no *.txt file")
    return texts


def _places(chosen: Dataset, split: str) -> list[Path]:
    if chosen.built_in:
        return [registry.path_of(chosen.name, split)]
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
        return registry.make(chosen.name, split)
    path = _places(chosen, split)[-1]
    base = mirror or os.environ.get("ELMAN_MIRROR")
    url = f"{base.rstrip('/')}/{chosen.name}/{path.name}" if base else chosen.urls[split]
    download(url, path, chosen.sha256[split], progress)
    return path
