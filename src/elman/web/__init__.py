"""The files of the web page, which the server and replays share."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

MEDIA = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
PREFIX = "/page/"  # the path of all files on a server, except index.html


@dataclass(frozen=True)
class Asset:
    """A file of the page."""

    body: bytes
    media: str
    etag: str


def read_assets() -> dict[str, Asset]:
    """Return the files of the page that have a media type, by path, such as ``js/main.js``."""
    return dict(sorted(_assets_in(files("elman.web") / "assets", "")))


def _assets_in(folder: Traversable, before: str) -> list[tuple[str, Asset]]:
    found: list[tuple[str, Asset]] = []
    for each in folder.iterdir():
        if each.is_dir():
            found += _assets_in(each, f"{before}{each.name}/")
        elif (ending := each.name.rpartition(".")[2]) in MEDIA:
            body = each.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            found.append((before + each.name, Asset(body, MEDIA[ending], etag)))
    return found
