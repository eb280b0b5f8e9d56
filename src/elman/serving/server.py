"""Serve an application on a socket, until a signal or in a thread."""

import contextlib
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Self

import uvicorn
from starlette.applications import Starlette

from elman.errors import ConfigError
from elman.serving.connection import Connection
from elman.serving.schemas import Limits


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address of a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; port 0 is any free one. Raises ConfigError if it cannot be bound."""
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
            f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another `port`"
        ) from error
    return listening


def make_server(app: Starlette, limits: Limits, ready: Callable[[], None]) -> uvicorn.Server:
    """Return a server that calls ``ready`` when it answers requests."""

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_level="error",  # the errors of clients are reported to them, not logged
        access_log=False,
        server_header=False,
        lifespan="on",
        limit_concurrency=limits.connections,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(limits.seconds) + 5,
    )
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of every client that disconnects
    return _Server(config)


def run_until_signal(server: uvicorn.Server, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, then finish the open requests and streams, and stop; in the main thread only.

    A second signal stops the server at once.
    """
    with _ignore_signals():
        server.run(sockets=[listening])


class Serving:
    """A server in a thread of its own: until `stop`, the end of a ``with`` block, or the end of Python.

    ``url`` is its address. Raises ConfigError if it cannot start.
    """

    def __init__(self, app: Starlette, listening: socket.socket, limits: Limits, url: str) -> None:
        self.url = url
        self._ready = threading.Event()
        self._server = make_server(app, limits, self._ready.set)
        self._thread = threading.Thread(target=self._run, args=(listening,), name="elman-serve", daemon=True)
        self._thread.start()
        self._ready.wait()
        if not self._server.started:
            raise ConfigError(f"the server at {url} could not start; its error is in the log")

    def _run(self, listening: socket.socket) -> None:
        try:
            self._server.run(sockets=[listening])
        finally:
            self._ready.set()

    def wait(self) -> None:
        """Wait until the server stops; KeyboardInterrupt (Ctrl-C, or the stop button of a notebook) stops it."""
        try:
            while self._thread.is_alive():
                self._thread.join(0.2)  # on Windows, only a wait with a limit can be interrupted
        except KeyboardInterrupt:
            self.stop()

    def stop(self) -> None:
        """Finish the open requests, and stop."""
        self._server.should_exit = True
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<elman serves at {self.url}>" if self._thread.is_alive() else f"<stopped: {self.url}>"


@contextlib.contextmanager
def _ignore_signals() -> Iterator[None]:
    """Ignore the signals that end a server: uvicorn raises them again after it has stopped."""
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: None) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
