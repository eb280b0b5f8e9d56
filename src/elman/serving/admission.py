"""What a request may cost: entries of its answer, memory, and time of the event loop, which only moves bytes.

Bodies are parsed, texts encoded and large answers written in two threads, one for small pieces of work and one for
large ones, so that neither the event loop nor a small request waits for a large one. Each request reserves the memory
that it may need before it gets it; requests that do not fit beside those in progress are refused for now (429).
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from elman.serving.schemas import (
    RequestRefused,
    json_bytes_response,
    parse_body,
    read_body,
    too_many_requests,
)
from elman.serving.state import Server, server_of

R = TypeVar("R", bound=Struct)
T = TypeVar("T")
BODY_FACTOR = 8  # memory of a body's bytes, parsed and encoded: a letter becomes up to 4 bytes, an id 8
ENTRY_BYTES = 200  # memory of an entry of an answer, as an object and in JSON
QUICK_BYTES = 1 << 14  # of bodies that are encoded among the small pieces of work
QUICK_ENTRIES = 1 << 11  # of answers that are written there
RESERVATION = "elman.reservation"  # the key of a request's scope


class Budget:
    """An amount of memory that the requests in progress have together, in bytes. Any thread may reserve some of it."""

    def __init__(self, total: int) -> None:
        self.total, self.reserved = total, 0
        self._lock = threading.Lock()

    def reserve(self, amount: int) -> None:
        """Reserve an amount. Raises RequestRefused if it is not free."""
        with self._lock:
            if self.reserved + amount > self.total:
                raise too_many_requests(
                    f"the requests in progress use the {self.total:,} bytes that this server has for requests"
                )
            self.reserved += amount

    def release(self, amount: int) -> None:
        """Give an amount back."""
        with self._lock:
            self.reserved -= amount


class Reservation:
    """What one request has reserved of a budget, until it ends: half of it at most, so that no request is too large."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self._amount = budget, 0

    def add(self, amount: int) -> None:
        """Reserve more. Raises RequestRefused if it is not free."""
        amount = min(amount, self._budget.total // 2 - self._amount)
        self._budget.reserve(amount)
        self._amount += amount

    def release(self) -> None:
        """Give everything back."""
        self._budget.release(self._amount)
        self._amount = 0


class Admission:
    """Middleware that gives back what a request has reserved when its answer has been sent, or its client has gone."""

    def __init__(self, app: ASGIApp, budget: Budget) -> None:
        self._app, self._budget = app, budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        reservation = scope[RESERVATION] = Reservation(self._budget)
        try:
            await self._app(scope, receive, send)
        finally:
            reservation.release()


def reservation_of(request: Request) -> Reservation:
    """Return what a request has reserved."""
    found: Reservation = request.scope[RESERVATION]
    return found


class AnswerSize:
    """The entries of a request's answer, counted and reserved before they are made: a token, or an alternative to one.

    A token with ``top`` alternatives has ``top`` + 1 entries.
    """

    def __init__(self, request: Request) -> None:
        self._limits, self._reservation = server_of(request).limits, reservation_of(request)
        self.entries = 0

    def add(self, param: str, tokens: int, top: int = 0, held: int | None = None) -> None:
        """Count tokens. Raises RequestRefused beyond the limit, with the field that causes them.

        Of an answer that is sent in parts, no more than ``held`` tokens are in memory at once.
        """
        self.entries += tokens * (top + 1)
        if self.entries > (limit := self._limits.most_entries):
            raise RequestRefused(
                f"the answer would have {self.entries:,} entries or more (tokens, each with its alternatives), the "
                f"limit of this server is {limit:,}; send less text, or request fewer tokens or alternatives",
                param,
                "limit_exceeded",
            )
        kept = tokens if held is None else min(held, tokens)
        self._reservation.add(kept * (top + 1) * ENTRY_BYTES)


async def read_request(request: Request, schema: type[R], prepare: Callable[[R], T]) -> T:
    """Read the body of a request, and return what ``prepare`` makes of it in a thread.

    Raises RequestRefused if the body is too large, too slow or invalid, if ``prepare`` does, and if too many wait.
    """
    server, reservation = server_of(request), reservation_of(request)
    body = await read_body(request, server.limits, lambda size: reservation.add(BODY_FACTOR * size))
    return await in_thread(server, lambda: prepare(parse_body(body, schema)), len(body) <= QUICK_BYTES)


async def json_answer(server: Server, entries: int, make: Callable[[], Any]) -> Response:
    """Return what ``make`` returns as a JSON answer; it is made in a thread."""
    encoded = await in_thread(
        server, lambda: msgspec.json.encode(make()), entries <= QUICK_ENTRIES, always=True
    )
    return json_bytes_response(encoded)


async def in_thread(server: Server, task: Callable[[], T], quick: bool, always: bool = False) -> T:
    """Return the result of a task, run among the small or the large pieces of work.

    Raises RequestRefused if too many wait, unless the task is to be run ``always``.
    """
    thread = server.quick_thread if quick else server.slow_thread
    return await asyncio.wrap_future(thread.submit(task, always))
