"""One file from the network: whole and verified, or not there."""

from pathlib import Path

from elman.errors import DatasetError
from elman.text.storage import reason

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
