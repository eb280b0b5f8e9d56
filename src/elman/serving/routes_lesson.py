"""GET /lesson/offer, POST /lesson and /lesson/step: train two small networks on request, a few batches at a time.

Everything is computed in the side thread, so the engines share the machine with one lesson at most, whatever the number
of visitors. A server that others can reach does not offer lessons unless it is started with them.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from elman.serving.admission import read_request
from elman.serving.lesson import Lesson, Lessons, LessonSettings
from elman.serving.schemas import (
    LessonRequest,
    LessonStepRequest,
    RequestRefused,
    json_bytes_response,
    json_response,
    time_limit_exceeded,
)
from elman.serving.state import Server, server_of
from elman.serving.streams import while_connected
from elman.text.rooms import QUESTIONS, World


async def lesson_offer(request: Request) -> Response:
    """Say whether this server offers lessons, and return their question and its possible answers by language."""
    questions = {
        language: {"text": text, "names": World(language).names, "answer": text.split()[0]}
        for language, text in QUESTIONS.items()
    }
    return json_response({"offered": server_of(request).lessons is not None, "questions": questions})


async def lesson(request: Request) -> Response:
    """Begin a lesson; return its identifier and what the untrained networks answer."""
    server = server_of(request)
    lessons = _lessons(server)
    body = await read_request(request, LessonRequest, lambda body: body)

    def begin() -> dict[str, Any]:
        begun = Lesson(LessonSettings(**msgspec.structs.asdict(body)))
        return {"lesson": lessons.add(begun), **begun.report()}

    return await _in_side_thread(request, begin)


async def lesson_step(request: Request) -> Response:
    """Train both networks of a lesson a little; return what they answer now."""
    server = server_of(request)
    lessons = _lessons(server)
    body = await read_request(request, LessonStepRequest, lambda body: body)

    def step() -> dict[str, Any]:
        found = lessons.find(body.lesson)
        if found is None:
            raise RequestRefused(
                f"there is no lesson {body.lesson!r} (any more); begin one with POST /lesson",
                "lesson",
                "lesson_not_found",
                404,
            )
        found.train(body.batches)
        return {"lesson": body.lesson, **found.report()}

    return await _in_side_thread(request, step)


def _lessons(server: Server) -> Lessons:
    if server.lessons is None:
        message = "this server does not train on request; start it with `lessons=True`"
        raise RequestRefused(message, code="no_lessons", status=403)
    return server.lessons


async def _in_side_thread(request: Request, task: Callable[[], dict[str, Any]]) -> Response:
    server = server_of(request)

    async def result() -> bytes:
        return await asyncio.wrap_future(server.side_thread.submit(lambda: msgspec.json.encode(task())))

    try:
        async with asyncio.timeout(server.limits.seconds):
            return json_bytes_response(await while_connected(request.receive, result()))
    except TimeoutError as error:
        raise time_limit_exceeded(server.limits.seconds) from error
