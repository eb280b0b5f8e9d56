"""Request bodies: their schemas, limits and parsing; response bodies and the error object of the OpenAI API.

The OpenAPI document of `elman.serving.routes_about` is made from the same schemas that requests are parsed with.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from elman.errors import ElmanError

ERROR_TYPES = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}
SENT_BYTES = 1 << 16  # of an answer, before the client must read
CHUNKS = "elman.chunks"  # the extension of a request's scope that sends a chunk of a body
SERVER_FAILED = "the server failed on this request; its log has the reason"


@dataclass(frozen=True)
class Limits:
    """Limits of a server. A request beyond one of them is refused with a 4xx answer that names the limit."""

    body_bytes: int = 1 << 20
    body_seconds: float = 10.0  # to receive a body
    prompt_tokens: int = 16_384
    prompts: int = 256  # per request
    choices: int = 16  # n and best_of
    max_tokens: int = 16_384  # generated per choice
    answer_entries: int = 300_000  # tokens of an answer, each with its alternatives
    memory_bytes: int = 1 << 29  # of the bodies and answers of all requests in progress, as estimated
    inside_tokens: int = 1024  # of a text whose states are inspected
    inside_values: int = 400_000  # tokens times units
    influence_tokens: int = 1_000_000  # read by one request, over all replacements
    inside_waiting: int = 32  # inspection requests, running or queued
    lessons: int = 8  # kept at the same time, of some 12 MB at most each
    large_waiting: int = 32  # large bodies that are parsed or wait for that
    streams: int = 64  # at the same time
    batch_size: int = 64  # sequences that take steps at the same time; others wait for their turn
    waiting: int = 1024  # sequences queued for a model
    seconds: float = 300.0  # per request
    connections: int = 512

    @property
    def most_entries(self) -> int:
        """The limit of an answer's entries: no smaller than what the other limits of completions allow."""
        return max(self.answer_entries, self.choices * self.max_tokens)


class RequestRefused(ElmanError):
    """A request that is answered with an error: ``status`` is the HTTP status, ``param`` the field at fault."""

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    @property
    def body(self) -> dict[str, Any]:
        """The body of the answer."""
        kind = ERROR_TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def too_many_requests(problem: str) -> RequestRefused:
    """Return the error for a request that would succeed later."""
    return RequestRefused(f"{problem}; try again in a moment", code="too_many_requests", status=429)


def time_limit_exceeded(seconds: float) -> RequestRefused:
    """Return the error for a request that took too long."""
    message = f"the request took longer than {seconds:g} s; request fewer tokens or send shorter texts"
    return RequestRefused(message, code="time_limit_exceeded")


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer. Numbers that JSON lacks, such as infinity, become null."""
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def json_bytes_response(encoded: bytes) -> Response:
    """Return an answer that is JSON already. A large one is sent in parts, as fast as its client reads."""
    return PartwiseResponse(encoded, media_type="application/json")


class PartwiseResponse(Response):
    """An answer of which a part is sent when the client has read most of the one before."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send_parts(body_sender(send), memoryview(self.body))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


PartSender = Callable[[bytes], Awaitable[None]]  # sends a part of a body, after which more follows


def part_sender(scope: Scope, send: Send) -> PartSender:
    """Return the function that sends parts of a body without a length: by ``send``, or a shorter way to the client.

    The shorter way, an extension of the scope, leaves out the middleware, of which none looks at bodies, and the HTTP
    library, which would check the state of the connection again for every token of a stream.
    """
    shorter: PartSender | None = scope.get("extensions", {}).get(CHUNKS, {}).get("send")
    return shorter or body_sender(send)


def body_sender(send: Send) -> PartSender:
    """Return the function that sends parts of a body, after which more follows."""

    async def send_part(part: bytes) -> None:
        await send({"type": "http.response.body", "body": part, "more_body": True})

    return send_part


async def send_parts(send_part: PartSender, body: bytes | memoryview) -> None:
    """Send bytes in parts, each when the client has read most of the one before."""
    for first in range(0, len(body), SENT_BYTES):
        await send_part(bytes(body[first : first + SENT_BYTES]))


R = TypeVar("R", bound=Struct)


async def read_body(request: Request, limits: Limits, reserve: Callable[[int], None]) -> bytes:
    """Return the body of a request, after a call of ``reserve`` with the size of each part.

    Raises RequestRefused if the body is too large or too slow.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise RequestRefused(
            f"the body must have the content type application/json, got {media or 'none'}",
            code="unsupported_media_type",
            status=415,
        )
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _read_bytes(request, limits.body_bytes, reserve)
    except TimeoutError as error:
        message = f"the body did not arrive within {limits.body_seconds:g} s"
        raise RequestRefused(message, code="slow_body", status=408) from error
    except ClientDisconnect as error:
        raise RequestRefused("the client closed the connection", code="client_gone", status=400) from error


async def _read_bytes(request: Request, max_bytes: int, reserve: Callable[[int], None]) -> bytes:
    declared = request.headers.get("content-length", "")
    size = int(declared[:20]) if declared.isdecimal() else 0
    body = bytearray()
    if size <= max_bytes:
        async for chunk in request.stream():
            reserve(len(chunk))
            body += chunk
            if (size := len(body)) > max_bytes:
                break
    if size > max_bytes:
        message = f"the body is larger than {max_bytes:,} bytes; split it into several requests"
        raise RequestRefused(message, code="body_too_large", status=413)
    return bytes(body)


def parse_body(body: bytes, schema: type[R]) -> R:
    """Parse a JSON body. Raises RequestRefused if it is not valid JSON or does not fit the schema."""
    try:
        return msgspec.json.decode(body, type=schema)
    except msgspec.ValidationError as error:
        raise _schema_error(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestRefused(f"the body is not valid JSON in UTF-8: {error}", code="invalid_json") from error


def _schema_error(message: str) -> RequestRefused:
    """Return the error for a message of msgspec, with the field that it names."""
    problem, _, place = message.partition(" - at `$")
    field = place.rstrip("`").lstrip(".").partition(".")[0].partition("[")[0]
    if "unknown field `" in problem:
        unknown = problem.partition("`")[2].rstrip("`")
        path = f"{field}.{unknown}" if field else unknown
        return RequestRefused(f"unknown field {path!r}; leave it out", path, "unknown_parameter")
    if "missing required field `" in problem:
        missing = problem.partition("`")[2].rstrip("`")
        return RequestRefused(f"the field {missing!r} is missing", missing, "missing_parameter")
    problem = problem[:1].lower() + problem[1:]
    return RequestRefused(f"{field or 'the body'}: {problem}", field or None, "invalid_value")


Name = Annotated[str, Meta(description="The model's id in GET /v1/models. Default: the first model.")]


class StreamOptions(Struct, forbid_unknown_fields=True):
    """What a stream contains besides the text."""

    include_usage: bool | None = None
    include_obfuscation: Annotated[bool, Meta(description="No effect: events are never padded.")] | None = (
        None
    )


class CompletionRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /v1/completions: the fields of the OpenAI API, and ``top_k``."""

    prompt: str | list[str | int | list[int]] | None = None
    model: Name | None = None
    best_of: Annotated[int, Meta(ge=1)] | None = None
    echo: bool | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=1024)] | None
    ) = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: (
        Annotated[str, Meta(min_length=1, max_length=1000)]
        | Annotated[list[Annotated[str, Meta(max_length=1000)]], Meta(max_length=16)]
        | None
    ) = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    suffix: Annotated[str, Meta(description="Refused: these models write from left to right.")] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_k: Annotated[int, Meta(ge=0, description="0: all tokens. Not a field of OpenAI's.")] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    user: str | None = None


class TokenizeRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /tokenize."""

    prompt: str
    model: Name | None = None
    add_special_tokens: Annotated[bool, Meta(description="No effect: there are none.")] | None = None
    return_token_strs: bool | None = None


class DetokenizeRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /detokenize."""

    tokens: list[int]
    model: Name | None = None


class ScoreRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /score."""

    text: str | list[str]
    model: Name | None = None
    bos: Annotated[bool, Meta(description="Predict the first token from the beginning of a line.")] = True
    eos: Annotated[bool, Meta(description="Score the end of the line too.")] = True
    top: Annotated[int, Meta(ge=0, le=50, description="How many of the most probable tokens to list.")] = 0


class NextRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /next."""

    prompt: str | list[int] = ""
    model: Name | None = None
    temperature: Annotated[float, Meta(ge=0, le=100)] = 1.0
    top_k: Annotated[int, Meta(ge=0)] = 0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    top: Annotated[int, Meta(ge=1, le=1000, description="How many candidates to return.")] = 10


class RescoreRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /rescore."""

    candidates: Annotated[list[str], Meta(min_length=1)]
    context: Annotated[str, Meta(description="The text before each candidate. It is not scored.")] = ""
    model: Name | None = None
    eos: Annotated[bool, Meta(description="Score the end of the line too.")] = True


InspectedText = Annotated[str, Meta(min_length=1, description="The text to read.")]
Layer = Annotated[int, Meta(ge=0, description="Counted from 0 at the bottom. Default: the top layer.")]
What = Literal["h", "c", "i", "f", "g", "o", "r", "z", "n"]
Property = Literal[
    "inside_quotes",
    "inside_brackets",
    "line_position",
    "sentence_position",
    "word_position",
    "after_name",
    "capital",
    "digit",
    "space",
    "punctuation",
    "word_start",
    "word_length",
    "text_position",
]


class InsideRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /inside: which state or gate to return after each token."""

    text: InspectedText
    model: Name | None = None
    layer: Layer | None = None
    what: Annotated[What, Meta(description="RNN: h; LSTM: h, c, i, f, g, o; GRU: h, r, z, n.")] = "h"


class UnitsRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /units: ``property`` or ``span``, not both; without either, the property followed best."""

    text: InspectedText
    model: Name | None = None
    layer: Layer | None = None
    what: Annotated[What, Meta(description="As in POST /inside.")] = "h"
    top: Annotated[int, Meta(ge=1, le=10_000, description="How many units to return.")] = 10
    property: Property | None = None
    span: (
        Annotated[tuple[int, int], Meta(description="The first character, and the one after the last.")]
        | None
    ) = None


class UnrollRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /unroll."""

    text: InspectedText
    model: Name | None = None


class ThroughTimeRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /through-time."""

    text: InspectedText
    index: Annotated[int, Meta(ge=0, description="The predicted token, counted from 0.")]
    model: Name | None = None


class LessonRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /lesson: the settings of an RNN and of the network beside it."""

    language: Literal["en", "ko"] = "en"
    cell: Annotated[Literal["gru", "lstm"], Meta(description="Of the network beside the RNN.")] = "gru"
    hidden: Annotated[int, Meta(ge=1, le=128, description="Hidden units H of both.")] = 64
    time_size: Annotated[
        int, Meta(ge=1, le=64, description="Steps T that the gradient goes back; 30: a whole line.")
    ] = 30
    lr: Annotated[float, Meta(gt=0, le=0.1, description="Learning rate of Adam.")] = 0.02
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 1


class LessonStepRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /lesson/step."""

    lesson: Annotated[str, Meta(max_length=64, description="The lesson's identifier from POST /lesson.")]
    batches: Annotated[int, Meta(ge=1, le=20, description="Batches of 32 lines for each network.")] = 5


class InfluenceRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /influence."""

    text: InspectedText
    index: Annotated[int, Meta(ge=0, description="The predicted token, counted from 0.")]
    model: Name | None = None
    replacements: Annotated[int, Meta(ge=1, le=64, description="How many for each token before it.")] = 8
    likely: Annotated[bool, Meta(description="Draw them from what the model expects there.")] = True
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class ExamplesRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /examples."""

    model: Name | None = None
