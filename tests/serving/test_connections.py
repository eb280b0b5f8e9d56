"""Clients on a socket that send or read too slowly, or not at all, or not HTTP: each gets an error, none does harm.

The timers of the connections run by hand: a test waits until the server has started one, and fires it.
"""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, ClassVar

import pytest
import uvicorn

from elman.serving.app import make_app
from elman.serving.connection import Connection, LingeringTransport
from elman.serving.schemas import Limits
from elman.serving.server import listen
from elman.serving.state import Models, ServedModel
from support.waiting import LONG, wait_until

HEAD = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
HEALTH = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
ENDLESS = json.dumps({"prompt": "tom", "max_tokens": 10**6, "stream": True, "logprobs": 5})
MAX_HEAD = 4096  # bytes
BUFFER = 16384  # bytes; with the system's own, the server would have to send megabytes before it has to wait


class Timer:
    """A timer that only a test fires."""

    def __init__(self, connection: "ManualConnection", callback: Callable[[], None]) -> None:
        self.connection, self.callback = connection, callback

    def cancel(self) -> None:
        with ManualConnection.changed:
            if self in ManualConnection.timers:
                ManualConnection.timers.remove(self)


class ManualConnection(Connection):
    """A connection whose timers never fire on their own."""

    changed = threading.Condition()
    timers: ClassVar[list[Timer]] = []
    received = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        with self.changed:
            self.received += len(data)
            self.changed.notify_all()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        timer = Timer(self, callback)
        with self.changed:
            self.timers.append(timer)
            self.changed.notify_all()
        return timer  # type: ignore[return-value]


def timers(name: str) -> list[Timer]:
    """The running timers for reading from ('head') or writing to ('read') clients, or for what
    comes after a refusal ('linger')."""
    wanted = {"head": "_head_timeout", "read": "abort", "linger": "_end_of_patience"}[name]
    return [timer for timer in ManualConnection.timers if timer.callback.__name__ == wanted]


def fire(name: str, *received: int) -> None:
    """Wait until timers run, of connections that have received so many bytes each, and let them fire.

    A connection that is closed before it has read everything is reset, and its client never sees the answer.
    """

    def ready() -> bool:
        return sorted(timer.connection.received for timer in timers(name)) == sorted(received)

    with ManualConnection.changed:
        assert ManualConnection.changed.wait_for(ready, LONG)
        fired = timers(name)
        for timer in fired:
            ManualConnection.timers.remove(timer)
    for timer in fired:
        timer.connection.loop.call_soon_threadsafe(timer.callback)


@contextmanager
def serving(limits: Limits, text_model: Any) -> Iterator[tuple[Any, int]]:
    """Serve in a thread; yield what the requests share, and the port."""
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    app = make_app(Models([ServedModel("word", text_model, limits)]), limits)
    listening = listen("127.0.0.1", 0)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    options: dict[str, Any] = {"ws": "none", "log_level": "critical", "lifespan": "on"}
    options |= {"limit_concurrency": limits.connections, "h11_max_incomplete_event_size": MAX_HEAD}
    server = Server(uvicorn.Config(app, http=ManualConnection, **options))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    assert started.wait(LONG)
    yield app.state.server, listening.getsockname()[1]
    server.should_exit = True
    thread.join(LONG)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def service(models: Any) -> Iterator[tuple[Any, int]]:
    """A server with two streams that waits for bodies as long as it takes."""
    with serving(Limits(body_seconds=10 * LONG, max_tokens=10**6, streams=2), models["word"]) as found:
        yield found


@pytest.fixture(scope="module")
def impatient_port(models: Any) -> Iterator[int]:
    """The port of a server that does not wait for bodies."""
    with serving(Limits(body_seconds=0.001), models["word"]) as (_, port):
        yield port


@pytest.fixture(scope="module")
def narrow(models: Any) -> Iterator[int]:
    """The port of a server with four connections."""
    limits = Limits(body_seconds=10 * LONG, max_tokens=10**6, streams=4, connections=4)
    with serving(limits, models["word"]) as (_, port):
        yield port


@pytest.fixture(autouse=True)
def _no_timers() -> None:
    """Begin each test without the timers of connections that a test before it has closed."""
    wait_until(lambda: not ManualConnection.timers, "the timers of closed connections are cancelled")


@contextmanager
def connected(port: int, sent: str = "") -> Iterator[socket.socket]:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        connection.settimeout(LONG)
        connection.connect(("127.0.0.1", port))
        connection.sendall(sent.encode("latin-1"))
        yield connection


def answer(connection: socket.socket) -> tuple[int, Any]:
    """Read to the connection's end; return the status and the error."""
    received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def read_health(connection: socket.socket) -> None:
    """Read one answer to GET /health, to its end."""
    read_json(connection, 200)


def read_json(connection: socket.socket, status: int) -> None:
    """Read one answer that is a JSON object, to its end."""
    received = b""
    while received.count(b"{") == 0 or received.count(b"{") > received.count(b"}"):
        part = connection.recv(65536)
        assert part, received
        received += part
    assert received.startswith(f"HTTP/1.1 {status}".encode())


def test_the_head_of_a_request_must_arrive(service: Any) -> None:
    with (
        connected(service[1]) as nothing,
        connected(service[1], "G") as little,
        connected(service[1], HEALTH[:30]) as much,
    ):
        fire("head", 0, 1, 30)
        for connection in (nothing, little, much):
            status, error = answer(connection)
            assert (status, error["code"]) == (408, "slow_head")


def test_the_head_of_a_second_request_must_arrive_too(service: Any) -> None:
    with connected(service[1], HEALTH) as connection:
        read_health(connection)
        assert not ManualConnection.timers  # a client may wait before it begins with the next request
        connection.sendall(b"GET /hea")
        fire("head", len(HEALTH) + 8)
        assert answer(connection)[0] == 408


def test_a_complete_head_stops_the_timer(service: Any) -> None:
    with connected(service[1], HEALTH[:20]) as connection:
        with ManualConnection.changed:
            assert ManualConnection.changed.wait_for(lambda: timers("head"), LONG)
        connection.sendall(HEALTH[20:].encode())
        read_health(connection)
        assert not ManualConnection.timers


@pytest.mark.parametrize("sent", ["", '{"prompt"'])
def test_a_body_must_arrive(impatient_port: int, sent: str) -> None:
    with connected(impatient_port, f"{HEAD}Content-Length: 100\r\n\r\n{sent}") as connection:
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
        f"GET /{'a' * MAX_HEAD}"[: MAX_HEAD + 1],  # too large with the last byte
        f"GET /{'a' * 1_000_000}",
        "x" * 1_000_000,
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n{'z' * 1_000_000}",
    ],
)
def test_invalid_http_is_refused(service: Any, sent: str) -> None:
    with connected(service[1], sent) as connection:
        status, error = answer(connection)
    assert 400 <= status < 500
    assert error["message"]


def test_a_client_that_never_reads_is_disconnected(service: Any) -> None:
    server, port = service
    request = f"{HEAD}Content-Length: {len(ENDLESS)}\r\n\r\n{ENDLESS}"
    with connected(port, request) as one, connected(port, request) as other:
        fire("read", len(request), len(request))
        wait_until(lambda: not server.streams, "the streams are closed")
        assert server.models.all[0].engine.wait_until_idle(LONG)
        for connection in (one, other):
            with suppress(ConnectionResetError):
                assert b"[DONE]" not in b"".join(iter(lambda c=connection: c.recv(65536), b""))  # type: ignore[misc]


def test_an_upgrade_to_another_protocol_is_ignored(service: Any) -> None:
    upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==\r\n"
    with connected(service[1], f"GET /health HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n") as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


UNFINISHED = ["", "G", HEALTH[:30], f"{HEAD}Content-Length: 100\r\n\r\n{{"]


@pytest.mark.parametrize("sent", UNFINISHED)
def test_unfinished_requests_keep_no_one_out(narrow: int, sent: str) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(narrow, sent)) for _ in range(12)]
        for _ in range(3):
            with connected(narrow, HEALTH) as connection:
                read_health(connection)
        for connection in slow[:8]:  # the oldest; the server had to close these at least
            with suppress(ConnectionResetError):  # it may have closed before it read what came
                status, error = answer(connection)
                assert (status, error["code"]) == (408, "slow_client")


def test_idle_connections_keep_no_one_out(narrow: int) -> None:
    with ExitStack() as stack:
        idle = []
        for _ in range(8):
            idle.append(stack.enter_context(connected(narrow, HEALTH)))
            read_health(idle[-1])
        for connection in idle[:4]:
            assert connection.recv(1) == b""
        idle[-1].sendall(HEALTH.encode())
        read_health(idle[-1])


def test_where_all_are_served_one_more_is_refused_for_now(narrow: int) -> None:
    request = f"{HEAD}Content-Length: {len(ENDLESS)}\r\n\r\n{ENDLESS}"
    with ExitStack() as stack:
        for _ in range(4):
            busy = stack.enter_context(connected(narrow, request))
            assert busy.recv(100).startswith(b"HTTP/1.1 200")
        with connected(narrow, HEALTH) as connection:
            status, error = answer(connection)
        assert (status, error["code"], error["type"]) == (503, "too_many_connections", "server_error")


@pytest.mark.parametrize("length", ["Content-Length: 3000000", "Transfer-Encoding: chunked"])
def test_a_client_that_sends_too_much_sees_why_it_is_refused(service: Any, length: str) -> None:
    chunk = "b71b00\r\n" if "chunked" in length else ""  # 12,000,000 bytes
    with connected(service[1], f"{HEAD}{length}\r\n\r\n{chunk}") as connection:
        connection.sendall(b" " * 3_000_000)  # all of it is taken
        status, error = answer(connection)
    assert (status, error["code"]) == (413, "body_too_large")


def test_no_more_than_a_bounded_amount_is_discarded(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LingeringTransport, "max_bytes", 1_000_000)
    head = f"{HEAD}Content-Length: 1000000000\r\n\r\n"
    with connected(service[1], head) as connection, suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(1000):
            connection.sendall(b" " * 1_000_000)
        pytest.fail("a gigabyte was taken")


def test_a_client_that_neither_sends_nor_closes_is_not_waited_for(service: Any) -> None:
    with connected(service[1], f"{HEAD}Content-Length: 3000000\r\n\r\n") as connection:
        assert answer(connection)[0] == 413
        with ManualConnection.changed:
            assert ManualConnection.changed.wait_for(lambda: timers("linger"), LONG)
        (timer,) = timers("linger")
        timer.connection.loop.call_soon_threadsafe(timer.callback)
        wait_until(lambda: not ManualConnection.timers, "the connection is closed")


def test_the_rest_of_a_body_that_nobody_reads_is_no_request(service: Any) -> None:
    request = f"{HEAD.replace('/v1', '/v2')}Content-Length: 100\r\n\r\n"
    with connected(service[1], request) as connection:
        read_json(connection, 404)
        connection.sendall(b" " * 50)
        with ManualConnection.changed:
            assert ManualConnection.changed.wait_for(lambda: timers("head"), LONG)
        connection.sendall(b" " * 50)
        wait_until(lambda: not ManualConnection.timers, "the rest has been read")
        connection.sendall(HEALTH.encode())
        read_health(connection)
        connection.sendall(request.encode())
        read_json(connection, 404)
        connection.sendall(b" ")
        with ManualConnection.changed:
            assert ManualConnection.changed.wait_for(lambda: timers("head"), LONG)
        (timer,) = timers("head")
        timer.connection.loop.call_soon_threadsafe(timer.callback)
        assert b"".join(iter(lambda: connection.recv(65536), b"")) == b""
