"""Run jobs on an engine while the client is connected, and send their results as server-sent events."""

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
from elman.serving.admission import in_thread
from elman.serving.schemas import (
    SERVER_FAILED,
    PartSender,
    RequestRefused,
    part_sender,
    send_parts,
    time_limit_exceeded,
    too_many_requests,
)
from elman.serving.sequences import Channel, Job
from elman.serving.state import ServedModel, Server, server_of

T = TypeVar("T")
EVENT_TOKENS = 256  # of an event that the event loop makes itself
log = logging.getLogger(__name__)


class ClientGone(Exception):
    """The client closed the connection before the answer was complete."""


async def finish_jobs(request: Request, model: ServedModel, jobs: Sequence[Job], channel: Channel) -> None:
    """Run jobs until all their tasks are done. Raises RequestRefused if they take too long or fail."""
    server, tasks = server_of(request), sum(len(job.tasks) for job in jobs)

    async def receive_results() -> None:
        for _ in range(tasks):
            raise_error(await channel.get())

    check_queue(server, model, tasks)
    with submitted(model, jobs):
        try:
            async with asyncio.timeout(server.limits.seconds):
                await while_connected(request.receive, receive_results())
        except TimeoutError as error:
            raise time_limit_exceeded(server.limits.seconds) from error


def check_queue(server: Server, model: ServedModel, tasks: int) -> None:
    """Raise RequestRefused if the queue of a model has no room for more tasks."""
    if model.engine.waiting + tasks > server.limits.waiting:
        raise too_many_requests("too many texts are waiting for this model")


@contextmanager
def submitted(model: ServedModel, jobs: Sequence[Job]) -> Iterator[None]:
    """Submit jobs to the engine of a model. At the end of the block, cancel what is not done."""
    try:
        for job in jobs:
            model.engine.submit(job)
        yield
    finally:
        for job in jobs:
            job.cancelled = True


def raise_error(item: Any) -> None:
    """Raise what came through a channel if it is an error, as RequestRefused."""
    if isinstance(item, ElmanError):
        raise RequestRefused(str(item)) from item
    if isinstance(item, Exception):
        log.error("an engine failed", exc_info=item)
        raise RequestRefused(SERVER_FAILED, code="internal_error", status=500) from item


async def while_connected(receive: Receive, coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine. If the client disconnects before, cancel it and raise ClientGone."""
    running, watching = asyncio.ensure_future(coroutine), asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            raise ClientGone
        return running.result()
    finally:
        for task in (running, watching):
            task.cancel()
        await asyncio.gather(running, watching, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


Event = bytes | None  # JSON


class EventStream(Response):
    """Runs jobs and sends what comes through their channel as events; ``[DONE]`` after the last.

    ``make_event`` returns the event for an item, or None for a finished task; ``last_event`` returns the one before
    ``[DONE]``, or None. Events that are ready at the same time are sent together. An error while streaming is sent as
    an event with the error object, which ends the stream.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        server: Server,
        model: ServedModel,
        jobs: Sequence[Job],
        channel: Channel,
        make_event: Callable[[Any], Event],
        last_event: Callable[[], Event],
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._server, self._model, self._jobs, self._channel = server, model, jobs, channel
        self._make_event, self._last_event = make_event, last_event
        self._start, self._open = time.perf_counter(), True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream. If the client disconnects, its sequences are freed at once."""
        self._count(1)
        try:
            await while_connected(receive, self._send(send, part_sender(scope, send)))
        except ClientGone:
            return
        finally:
            self._close()

    def _count(self, change: int) -> None:
        self._server.streams += change
        self._server.metrics.streams.set(self._server.streams)

    def _close(self) -> None:
        """Do not count the stream any more."""
        if self._open:
            self._open = False
            self._count(-1)

    async def _send(self, send: Send, send_part: PartSender) -> None:
        seconds = self._server.limits.seconds
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        closing = b"[DONE]"
        try:
            with submitted(self._model, self._jobs):
                async with asyncio.timeout(seconds):
                    await self._send_events(send_part)
        except TimeoutError:
            closing = msgspec.json.encode(time_limit_exceeded(seconds).body)
        except RequestRefused as refused:
            closing = msgspec.json.encode(refused.body)
        self._close()  # before the client sees the end, and may open the next stream
        await send_parts(send_part, framed(closing))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, send_part: PartSender) -> None:
        unfinished = sum(len(job.tasks) for job in self._jobs)
        first = True
        while unfinished:
            events, error = [], None
            for item in await self._channel.get_all():
                if isinstance(item, Exception):
                    error = item
                    break
                event = await self._encoded(item)
                if event is None:
                    unfinished -= 1
                else:
                    events.append(framed(event))
            if first and events:
                first = False
                self._server.metrics.first_token.observe(time.perf_counter() - self._start)
            await send_parts(send_part, b"".join(events))
            raise_error(error)
        last = self._last_event()
        if last is not None:
            await send_parts(send_part, framed(last))

    async def _encoded(self, item: Any) -> Event:
        """Return the event for an item. That of many tokens, an echoed prompt, is made in a thread."""
        if len(getattr(item, "tokens", ())) <= EVENT_TOKENS:
            return self._make_event(item)
        return await in_thread(self._server, lambda: self._make_event(item), quick=False, always=True)


def framed(event: bytes) -> bytes:
    """Return an event as it is sent."""
    return b"data: " + event + b"\n\n"
