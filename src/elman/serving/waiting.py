"""Waiting for an engine, as long as somebody waits for the answer."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive

from elman.errors import ElmanError
from elman.serving.jobs import Channel, Job
from elman.serving.problems import FAILED, RequestRefused, out_of_time, too_many
from elman.serving.served import Served
from elman.serving.server import Server, server_of

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
