"""Server-sent events, and waiting for an engine while the client is there.

Waiting for an engine, as long as somebody waits for the answer.

Server-sent events: an answer that is sent while it is made.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from elman.errors import ElmanError
from elman.serving.schemas import FAILED, RequestRefused, out_of_time, too_many
from elman.serving.sequences import Channel, Job
from elman.serving.state import Served, Server, server_of

T = TypeVar("T")
log = logging.getLogger(__name__)


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


def check_room(server: Server, served: Served, works: int) -> None:
    """Raise RequestRefused where too many texts wait for a model already for so many more."""
    if served.engine.waiting + works > server.limits.waiting:
        raise too_many("too many texts wait for this model")


@contextmanager
def submitted(served: Served, jobs: Sequence[Job]) -> Iterator[None]:
    """Hand jobs to a model's engine; at the end of the block, what is not done of them is cancelled."""
    try:
        for job in jobs:
            served.engine.submit(job)
        yield
    finally:
        for job in jobs:
            job.cancelled = True


def checked(item: Any) -> Any:
    """Return what came through a channel; an error is raised as the refusal that it is to the client."""
    if isinstance(item, ElmanError):
        raise RequestRefused(str(item)) from item
    if isinstance(item, Exception):
        log.error("an engine failed", exc_info=item)
        raise RequestRefused(FAILED, code="internal_error", status=500) from item
    return item


async def done(request: Request, served: Served, jobs: Sequence[Job], channel: Channel) -> None:
    """Return when all works of jobs are done. Raises RequestRefused where they take too long, or fail."""
    server, works = server_of(request), sum(len(job.works) for job in jobs)

    async def wait() -> None:
        for _ in range(works):
            checked(await channel.get())

    check_room(server, served, works)
    with submitted(served, jobs):
        try:
            async with asyncio.timeout(server.limits.seconds):
                await unless_gone(request.receive, wait())
        except TimeoutError as error:
            raise out_of_time(server.limits.seconds) from error


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns. Raises ClientGone as soon as the client is gone; the work is then cancelled."""
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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
        """Send the stream; where the client goes away, the engine's sequences are free at once."""
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
