"""What every request passes: host and key checks, response headers."""

import hmac
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from elman.serving.bodies import json_answer
from elman.serving.schemas import RequestRefused
from elman.serving.state import Metrics
from elman.web import PREFIX

OPEN = ("/", "/health")  # served without the key, as are the files of the page
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Guards:
    """Refuses requests for other hosts than ``hosts`` (None: any), and those without ``key`` (None: none is needed).

    A page of another site that has its own name point to this machine (DNS rebinding) sends that name as the host.
    """

    def __init__(
        self,
        app: ASGIApp,
        key: str | None = None,
        hosts: Collection[str] | None = None,
        open_paths: Collection[str] = OPEN,
    ) -> None:
        self._app, self._hosts, self._open = app, hosts, open_paths
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

        refusal = self._refusal(Headers(scope=scope), scope["path"])
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
            return
        headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
        await json_answer(refusal.answer, refusal.status, headers)(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers, path: str) -> RequestRefused | None:
        if self._hosts is not None and _name_of(headers.get("host", "")) not in self._hosts:
            message = "this server answers to localhost only; start it with --host to serve others"
            return RequestRefused(message, code="host_not_allowed", status=403)
        if self._key is None or path in self._open or path.startswith(PREFIX):
            return None
        given = headers.get("authorization", "").encode("latin-1")
        if hmac.compare_digest(given, self._key):
            return None
        message = "the key is missing or wrong; send it as Authorization: Bearer KEY"
        return RequestRefused(message, code="invalid_api_key", status=401)


def _name_of(host: str) -> str:
    """Return a Host header without the port."""
    name, bracket, _ = host.partition("]")
    return (name + bracket if bracket else host.partition(":")[0]).lower()


class Counting:
    """Counts the requests, by route, and how long they take."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 499  # where the client goes before there is an answer
        begun = time.perf_counter()

        async def send_and_look(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_look)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)
