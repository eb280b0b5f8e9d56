"""Server-sent events: an answer that is sent while it is made."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from elman.serving.jobs import Channel, Job
from elman.serving.problems import RequestRefused, out_of_time
from elman.serving.served import Served
from elman.serving.server import Server
from elman.serving.waiting import ClientGone, checked, submitted, unless_gone

Event = dict[str, Any] | None


class EventStream(Response):
    """Sends what comes through a channel as events, until all works of the jobs are done, and then ``[DONE]``.

    ``event`` makes an event of what a work has sent, or None of one that is done; ``last`` makes the last one. An
    error, once the stream has begun, is an event with the error object, and the stream's end.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        server: Server,
        served: Served,
        jobs: Sequence[Job],
        channel: Channel,
        event: Callable[[Any], Event],
        last: Callable[[], Event],
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._server, self._served, self._jobs, self._channel = server, served, jobs, channel
        self._event, self._last = event, last
        self._begun, self._open = time.perf_counter(), True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; where the client goes away, the engine's lanes are free at once."""
        self._count(1)
        try:
            await unless_gone(receive, self._send(send))
        except ClientGone:
            return
        finally:
            self._end()

    def _count(self, change: int) -> None:
        self._server.streams += change
        self._server.metrics.streams.set(self._server.streams)

    def _end(self) -> None:
        """Count the stream no more."""
        if self._open:
            self._open = False
            self._count(-1)

    async def _send(self, send: Send) -> None:
        seconds = self._server.limits.seconds
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        closing = b"[DONE]"
        try:
            with submitted(self._served, self._jobs):
                async with asyncio.timeout(seconds):
                    await self._send_events(send)
        except TimeoutError:
            closing = msgspec.json.encode(out_of_time(seconds).answer)
        except RequestRefused as refused:
            closing = msgspec.json.encode(refused.answer)
        self._end()  # before the client knows of it, and asks for the next one
        await _push(send, closing)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, send: Send) -> None:
        left = sum(len(job.works) for job in self._jobs)
        first = True
        while left:
            event = self._event(checked(await self._channel.get()))
            if event is None:
                left -= 1
                continue
            if first:
                first = False
                self._server.metrics.first_token.observe(time.perf_counter() - self._begun)
            await _push(send, msgspec.json.encode(event))
        last = self._last()
        if last is not None:
            await _push(send, msgspec.json.encode(last))


async def _push(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": True})
