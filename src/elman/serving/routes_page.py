"""GET / and /page/…: the web page. Its files are read once: no path of a request ever reaches the file system."""

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


def _response(asset: Asset, known: str) -> Response:
    """Return the response to a client that holds the versions ``known``, an If-None-Match header."""
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}  # the client keeps a copy and asks each time
    tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
    if asset.etag in tags:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, headers=headers, media_type=asset.media)
