"""A server on a socket."""

import contextlib
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette

from elman.errors import ConfigError
from elman.serving.connections import Connection
from elman.serving.limits import Limits


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
