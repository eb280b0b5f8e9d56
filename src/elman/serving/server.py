"""Listen on a socket; close connections that are too slow.

Connections: what a client sends and reads too slowly, or what is no HTTP at all, ends one.

A server on a socket.
"""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Iterator

import h11
import msgspec
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from elman.errors import ConfigError
from elman.serving.schemas import RequestRefused
from elman.serving.state import Limits


class Connection(H11Protocol):
    """A connection whose client has to go on.

    The head of a request has to be there ``head_seconds`` after its first byte, or after the connection was made.
    What was sent has to be read: a client that lets more than the transport's buffer (64 KiB) wait for ``read_seconds``
    is taken for gone, which frees its sequences.
    """

    head_seconds = 10.0
    read_seconds = 60.0
    _heading: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._heading = self.loop.call_later(self.head_seconds, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        _cancel(self._heading)
        _cancel(self._stalled)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        if not self._idle:
            _cancel(self._heading)
            self._heading = None
        elif self._heading is None:
            self._heading = self.loop.call_later(self.head_seconds, self._late)

    def pause_writing(self) -> None:
        """Wait until the client has read."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        _cancel(self._stalled)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(RequestRefused(msg, code="invalid_http"))

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _late(self) -> None:
        if self._idle and not self.transport.is_closing():
            message = f"the head of the request took longer than {self.head_seconds:g} s"
            self._refuse(RequestRefused(message, code="slow_head", status=408))

    def _refuse(self, refused: RequestRefused) -> None:
        """Answer outside of any application, and close the connection."""
        body = msgspec.json.encode(refused.answer)
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        events = (
            h11.Response(status_code=refused.status, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        send: Callable[[h11.Event], bytes | None] = self.conn.send
        self.transport.write(b"".join(send(event) or b"" for event in events))
        self.transport.close()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches a host's address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 is any that is free. Raises ConfigError where there is none to be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another with --port"
        ) from error
    return listening


def serve(app: Starlette, listening: socket.socket, limits: Limits, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; then answer what has been asked, streams to their end, and stop.

    ``ready`` is called when requests are answered. A second signal stops at once.
    """

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_level="error",  # what clients do wrong is told to them alone
        access_log=False,
        server_header=False,
        lifespan="on",
        limit_concurrency=limits.connections,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(limits.seconds) + 5,
    )
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of every client that goes away
    with _quietly():
        _Server(config).run(sockets=[listening])


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Let the signals that end a server end nothing else: it raises them once more when it has stopped."""
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: None) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
