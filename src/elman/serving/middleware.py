"""Middleware: host and key checks, security headers, request counts."""

import hmac
import re
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from elman.serving.schemas import RequestRefused, json_response
from elman.serving.state import Metrics
from elman.web import PREFIX

PUBLIC_PATHS = ("/", "/health")  # served without the key, as are the files of the page
HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(:(?P<port>[0-9]{0,9}))?")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class AccessControl:
    """Refuses requests to hosts other than ``hosts`` (None: any) and requests without ``key`` (None: not needed).

    The host check stops DNS rebinding: a page of another site whose name was made to point to this machine sends
    that name as the host. Every answer gets the security headers.
    """

    def __init__(
        self,
        app: ASGIApp,
        key: str | None = None,
        hosts: Collection[str] | None = None,
        public_paths: Collection[str] = PUBLIC_PATHS,
    ) -> None:
        self._app, self._hosts, self._public_paths = app, hosts, public_paths
        self._key = None if key is None else f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._check(Headers(scope=scope), scope["path"])
        if refused is None:
            await self._app(scope, receive, send_with_headers)
            return
        headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else None
        await json_response(refused.body, refused.status, headers)(scope, receive, send_with_headers)

    def _check(self, headers: Headers, path: str) -> RequestRefused | None:
        if self._hosts is not None and host_name(headers.get("host", "")) not in self._hosts:
            message = "this server is available as localhost only; start it with another `host` to serve other machines"
            return RequestRefused(message, code="host_not_allowed", status=403)
        if self._key is None or path in self._public_paths or path.startswith(PREFIX):
            return None
        given = headers.get("authorization", "").encode("latin-1")
        if hmac.compare_digest(given, self._key):
            return None
        message = "the API key is missing or wrong; send it in the header Authorization: Bearer KEY"
        return RequestRefused(message, code="invalid_api_key", status=401)


def host_name(host: str) -> str | None:
    """Return the name or address of a Host header, in lower case, or None if the header is not ``host[:port]``.

    The header is that of RFC 9110, section 7.2, with the host of RFC 3986, section 3.2.2.
    """
    found = HOST.fullmatch(host)
    if found is None or int(found["port"] or 0) > 65535:
        return None
    return found["name"].lower()


class RequestCounter:
    """Counts requests by route and status, and measures how long they take."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve and count a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 499  # if the client leaves before there is an answer
        start = time.perf_counter()

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_record)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - start)
