"""A client's connection: what the server waits for and how long, and how it closes."""

import asyncio
from collections.abc import Callable
from typing import Any

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from elman.serving.schemas import CHUNKS, PartSender, RequestRefused


class Connection(H11Protocol):
    """A connection that is closed if its client is too slow, or if others need it more.

    The head of a request must arrive within ``head_seconds`` of its first byte or, for the first request, of the
    connection. The client must read: if more than the transport's buffer (64 KiB) waits for ``read_seconds``, the
    connection is aborted, which frees the client's sequences. If there are more connections than the limit, the one
    for whose client the server has waited longest is closed: unfinished heads and bodies, and idle connections, keep
    no one out.
    """

    head_seconds = 10.0
    read_seconds = 60.0
    _head_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None
    _waiting_since = 0.0  # for the client, by the loop's clock

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # uvicorn's own limit counts connections that send nothing, and refuses everyone else
        self._max_connections, self.limit_concurrency = self.limit_concurrency, None

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Start a timer. Tests override this to run timers by hand."""
        return self.loop.call_later(seconds, callback)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the head of the first request."""
        self._lingering = LingeringTransport(transport, self)
        super().connection_made(self._lingering)  # type: ignore[arg-type]
        self._waiting_since = self.loop.time()
        self._head_timer = self.call_later(self.head_seconds, self._head_timeout)
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        _cancel(self._head_timer)
        _cancel(self._read_timer)
        self._lingering.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request."""
        if self._closing:
            self._lingering.discard(len(data))
            return
        super().data_received(data)
        if not self._idle or (self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]):
            _cancel(self._head_timer)  # a request has begun, or the rest of one has been read
            self._head_timer = None
        elif self._head_timer is None and not self._closing:
            self._head_timer = self.call_later(self.head_seconds, self._head_timeout)

    def handle_events(self) -> None:
        """Begin to serve the requests that have arrived; those of HTTP/1.1 have the extension `CHUNKS`."""
        served = self.cycle
        super().handle_events()
        if self.cycle is not served and self.scope["http_version"] == "1.1":
            self.scope["extensions"] = {CHUNKS: {"send": chunk_sender(self.cycle)}}

    def on_response_complete(self) -> None:
        """Wait for the client's next request."""
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait until the client has read."""
        super().pause_writing()
        self._read_timer = self.call_later(self.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Continue after the client has read."""
        _cancel(self._read_timer)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not valid HTTP."""
        self._refuse(RequestRefused(msg, code="invalid_http"))

    @property
    def is_reading(self) -> bool:
        """Whether the rest of a request may still come, so that a reset would keep the client from its answer."""
        return self.conn.their_state in (h11.SEND_BODY, h11.ERROR) or bool(self.conn.trailing_data[0])

    @property
    def _idle(self) -> bool:
        """Whether no request is being served."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def _closing(self) -> bool:
        return self._lingering.is_closing()

    @property
    def _awaits_client(self) -> bool:
        """Whether the server waits for a request, or for the rest of one."""
        return self._idle or (self.cycle.more_body and not self.cycle.response_started)

    def _make_room(self) -> None:
        """Close the connection for whose client the server has waited longest; this one if all are served."""
        open_ = [each for each in self.connections if isinstance(each, Connection) and not each._closing]
        if self._max_connections is None or len(open_) <= self._max_connections:
            return
        waiting = [each for each in open_ if each is not self and each._awaits_client]
        if waiting:
            min(waiting, key=lambda each: each._waiting_since)._evict()
        elif len(self.connections) > 2 * self._max_connections:
            self.transport.abort()
        else:
            problem = (
                f"all {self._max_connections:,} connections of this server are in use; try again in a moment"
            )
            self._refuse(RequestRefused(problem, code="too_many_connections", status=503), linger=True)

    def _evict(self) -> None:
        if self.cycle is not None and self._idle and not self.is_reading:
            self.transport.close()  # between two requests
        else:
            message = "the server needs the connection for others, and the request was still incomplete"
            self._refuse(RequestRefused(message, code="slow_client", status=408), linger=False)

    def _head_timeout(self) -> None:
        if self._idle and not self.transport.is_closing():
            message = f"the head of the request did not arrive within {self.head_seconds:g} s"
            self._refuse(RequestRefused(message, code="slow_head", status=408))

    def _refuse(self, refused: RequestRefused, linger: bool | None = None) -> None:
        """Answer without the application, unless an answer has begun, and close the connection.

        ``linger``: see `LingeringTransport`; by default, if more of the request may come.
        """
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = msgspec.json.encode(refused.body)
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
        if not self._idle:
            self.cycle.disconnected = True  # for the application, which then sends nothing more
            self.cycle.message_event.set()
        self._lingering.end(self.is_reading if linger is None else linger)


def chunk_sender(cycle: RequestResponseCycle) -> PartSender:
    """Return the function that sends a chunk of a body (RFC 9112, section 7.1); the body must have no length."""

    async def send_chunk(data: bytes) -> None:
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if not cycle.disconnected:
            cycle.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    return send_chunk


class LingeringTransport:
    """A transport that, before it closes, lets the client read the answer to a request that was not read to its end.

    A socket that is closed with unread bytes is reset, and the client may lose the answer. So only the sending side is
    closed at first; what still comes, up to ``max_bytes`` and for ``max_seconds``, is discarded.
    """

    max_bytes = 1 << 24
    max_seconds = 2.0

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self._transport, self._connection = transport, connection
        self._timer: asyncio.TimerHandle | None = None
        self._discarded, self._closing = 0, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Return whether nothing more will be sent."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Close the connection, at once if the request was read to its end."""
        self.end(self._connection.is_reading)

    def end(self, linger: bool) -> None:
        """Close the connection, at once or after what still comes."""
        if self.is_closing():
            return
        if not (linger and self._transport.can_write_eof()):
            self._transport.close()
            return
        self._closing = True
        self._timer = self._connection.call_later(self.max_seconds, self._end_of_patience)
        self._transport.write_eof()
        self._transport.resume_reading()

    def discard(self, size: int) -> None:
        """Count bytes that are not read; close if there are too many."""
        self._discarded += size
        if self._discarded > self.max_bytes:
            self._transport.close()

    def stop(self) -> None:
        """Stop the timer."""
        _cancel(self._timer)

    def _end_of_patience(self) -> None:
        self._transport.abort()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
