"""Bodies of requests and of answers."""

import asyncio
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from elman.serving.schemas import RequestRefused, parsed
from elman.serving.state import server_of

R = TypeVar("R", bound=msgspec.Struct)


async def body_of(request: Request, kind: type[R]) -> R:
    """Return a request's body. Raises RequestRefused for one that is too large, too slow, or not as it should be."""
    limits = server_of(request).limits
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise RequestRefused(
            f"the body must be application/json, not {media or 'without a content-type'}",
            code="unsupported_media_type",
            status=415,
        )
    try:
        async with asyncio.timeout(limits.body_seconds):
            return parsed(await _read(request, limits.body_bytes), kind)
    except TimeoutError as error:
        message = f"the body took longer than {limits.body_seconds:g} s"
        raise RequestRefused(message, code="slow_body", status=408) from error
    except ClientDisconnect as error:
        raise RequestRefused("the client went away", code="client_gone", status=400) from error


async def _read(request: Request, most: int) -> bytes:
    told = request.headers.get("content-length", "")
    size = int(told[:20]) if told.isdecimal() else 0
    body = bytearray()
    if size <= most:
        async for chunk in request.stream():
            body += chunk
            if (size := len(body)) > most:
                break
    if size > most:
        raise RequestRefused(
            f"the body is larger than {most:,} bytes; send less at a time", code="body_too_large", status=413
        )
    return bytes(body)


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer in JSON; what JSON cannot hold, such as infinity, is null."""
    body = msgspec.json.encode(content)
    return Response(body, status, headers, media_type="application/json")
