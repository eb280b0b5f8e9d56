"""GET / and /page/…: the web page.

Its files are read once, at the start: the path of a request never reaches the file system.
"""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from elman.web import PREFIX, Asset


def page_routes(assets: Mapping[str, Asset]) -> list[Route]:
    """Return the routes of the page."""

    async def page(request: Request) -> Response:
        asset = assets.get(request.path_params.get("file", "index.html"))
        if asset is None:
            raise HTTPException(404)
        return _response(asset, request.headers.get("if-none-match", ""))

    return [Route("/", page), Route(PREFIX + "{file:path}", page)]


def _response(asset: Asset, if_none_match: str) -> Response:
    """Return a file, or status 304 to a client that has the current version."""
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}  # clients keep a copy and revalidate it
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    if asset.etag in tags:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, headers=headers, media_type=asset.media)
