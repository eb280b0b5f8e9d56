"""Clients on a socket that send or read too slowly, or not at all, and what is no HTTP: each is told, none hurts."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvicorn

from elman.serving.app import make_app
from elman.serving.server import Connection, listen
from elman.serving.state import Limits, Models, Served

HEAD = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
ENDLESS = json.dumps({"prompt": "tom", "max_tokens": 10**6, "stream": True, "logprobs": 5})
BUFFER = 16384  # bytes; the system's own would take megabytes before a client is seen not to read


class Hasty(Connection):
    head_seconds = 0.5
    read_seconds = 0.2


@pytest.fixture(scope="module")
def service(models: Any) -> Iterator[tuple[Any, int]]:
    """A server with little patience, in a thread: what its answers share, and its port."""
    limits = Limits(body_seconds=0.2, max_tokens=10**6, streams=2)
    app = make_app(Models([Served("word", models["word"], limits)]), limits)
    listening = listen("127.0.0.1", 0)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    server = uvicorn.Server(uvicorn.Config(app, http=Hasty, ws="none", log_level="critical", lifespan="on"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield app.state.server, listening.getsockname()[1]
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


@contextmanager
def connected(port: int, *sent: str) -> Iterator[socket.socket]:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", port))
        for part in sent:
            connection.sendall(part.encode("latin-1"))
        yield connection


def answer(connection: socket.socket) -> tuple[int, Any]:
    """Read to the connection's end; return the status and the error."""
    received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def until_free(server: Any) -> None:
    while server.streams or server.models.all[0].engine.busy or server.models.all[0].engine.waiting:
        time.sleep(0.01)


def test_the_head_of_a_request_has_to_come(service: Any) -> None:
    with (
        connected(service[1]) as nothing,
        connected(service[1], "G") as little,
        connected(service[1], "GET /health HTTP/1.1\r\nHost: local") as much,
    ):
        for connection in (nothing, little, much):
            status, error = answer(connection)
            assert (status, error["code"]) == (408, "slow_head")


def test_the_head_of_a_second_request_has_to_come_too(service: Any) -> None:
    with connected(service[1], "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        time.sleep(0.6)  # a client may wait before it begins with one
        connection.sendall(b"GET /hea")
        assert answer(connection)[0] == 408


@pytest.mark.parametrize("sent", ["", '{"prompt"'])
def test_a_body_has_to_come(service: Any, sent: str) -> None:
    with connected(service[1], f"{HEAD}Content-Length: 100\r\n\r\n{sent}") as connection:
        status, error = answer(connection)
    assert (status, error["code"]) == (408, "slow_body")


@pytest.mark.parametrize(
    "sent",
    [
        "\x00\x01\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",  # no host
        f"{HEAD}Content-Length: x\r\n\r\n",
        f"{HEAD}Content-Length: -1\r\n\r\n",
        f"{HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        f"GET /{'a' * 100_000} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(service: Any, sent: str) -> None:
    with connected(service[1], sent) as connection:
        status, error = answer(connection)
    assert 400 <= status < 500
    assert error["message"]


def test_a_client_that_never_reads_is_gone_after_a_while(service: Any) -> None:
    server, port = service
    request = f"{HEAD}Content-Length: {len(ENDLESS)}\r\n\r\n{ENDLESS}"
    with connected(port, request) as one, connected(port, request) as other:
        while server.streams < 2:
            time.sleep(0.01)
        until_free(server)
        for connection in (one, other):
            with suppress(ConnectionResetError):
                assert b"[DONE]" not in b"".join(iter(lambda c=connection: c.recv(65536), b""))  # type: ignore[misc]


def test_an_upgrade_to_another_protocol_is_none(service: Any) -> None:
    upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==\r\n"
    with connected(service[1], f"GET /health HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n") as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
