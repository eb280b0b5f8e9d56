"""The page at `/` and its files, read once: no path of a request ever reaches the file system."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MEDIA = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
PREFIX = "/page/"  # of all files but index.html


@dataclass(frozen=True)
class Asset:
    """A file of the page."""

    body: bytes
    media: str
    etag: str

    def answer(self, known: str) -> Response:
        """Return the answer to a client that holds the versions ``known``, an If-None-Match header."""
        headers = {"ETag": self.etag, "Cache-Control": "no-cache"}  # kept, but asked for each time
        tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
        if self.etag in tags:
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers, media_type=self.media)


def read_assets() -> dict[str, Asset]:
    """Return the files of the page by their paths in it, such as ``js/main.js``; none that has no media type."""
    return dict(sorted(_assets_in(files("elman.serving") / "page", "")))


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


def page_routes(assets: Mapping[str, Asset]) -> list[Route]:
    """Return the routes of the page."""

    async def page(request: Request) -> Response:
        asset = assets.get(request.path_params.get("file", "index.html"))
        if asset is None:
            raise HTTPException(404)
        return asset.answer(request.headers.get("if-none-match", ""))

    return [Route("/", page), Route(PREFIX + "{file:path}", page)]
