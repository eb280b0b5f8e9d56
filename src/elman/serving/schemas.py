"""Request and error bodies: what they may hold, and how they are parsed.

What is wrong with a request, as an answer: the error object of the OpenAI API, with its four keys.

Requests: what their bodies may hold, from which they are parsed and the OpenAPI document is made.

Requests that look inside a recurrent network; see `elman.serving.schemas`.
"""

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from elman.errors import ElmanError

KINDS = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}


class RequestRefused(ElmanError):
    """A request that is not served: ``status`` is the HTTP status, ``param`` the field that is to blame."""

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    @property
    def answer(self) -> dict[str, Any]:
        """The body of the answer."""
        kind = KINDS.get(self.status, "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def too_many(what: str) -> RequestRefused:
    """Return the refusal of a request that would be served at another time."""
    return RequestRefused(f"{what}; try again in a moment", code="too_many_requests", status=429)


def out_of_time(seconds: float) -> RequestRefused:
    """Return the refusal of a request that took too long."""
    message = f"the request took longer than {seconds:g} s; ask for fewer tokens or shorter texts"
    return RequestRefused(message, code="time_limit_exceeded")


FAILED = "the server failed at this request; its log tells why"


Text = str
Ids = list[int]
Name = Annotated[
    str, Meta(description="The model, as GET /v1/models names it; the first where it is left out.")
]


class StreamOptions(Struct, forbid_unknown_fields=True):
    """What a stream holds besides the text."""

    include_usage: bool | None = None
    include_obfuscation: Annotated[bool, Meta(description="Nothing is ever padded here.")] | None = None


class CompletionRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /v1/completions: the fields of the OpenAI API, and ``top_k``."""

    prompt: str | list[str | int | list[int]] | None = None
    model: Name | None = None
    best_of: Annotated[int, Meta(ge=1)] | None = None
    echo: bool | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: Annotated[str, Meta(min_length=1)] | Annotated[list[str], Meta(max_length=16)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    suffix: Annotated[str, Meta(description="Refused: these models write from left to right.")] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_k: Annotated[int, Meta(ge=0, description="0: all tokens. No field of OpenAI's.")] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    user: str | None = None


class TokenizeRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /tokenize."""

    prompt: str
    model: Name | None = None
    add_special_tokens: Annotated[bool, Meta(description="There are none to add.")] | None = None
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
    top: Annotated[int, Meta(ge=0, le=50, description="Tell of the most probable tokens in each place.")] = 0


class NextRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /next."""

    prompt: str | list[int] = ""
    model: Name | None = None
    temperature: Annotated[float, Meta(ge=0, le=100)] = 1.0
    top_k: Annotated[int, Meta(ge=0)] = 0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    top: Annotated[int, Meta(ge=1, le=1000, description="How many candidates to tell of.")] = 10


class RescoreRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /rescore."""

    candidates: Annotated[list[str], Meta(min_length=1)]
    context: Annotated[str, Meta(description="What stands before each candidate; it is not scored.")] = ""
    model: Name | None = None
    eos: Annotated[bool, Meta(description="Score the end of the line too.")] = True


R = TypeVar("R", bound=Struct)


def parsed(body: bytes, kind: type[R]) -> R:
    """Return a request's body. Raises RequestRefused for what is no JSON, and for what no such request may hold."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestRefused(f"the body is no JSON in UTF-8: {error}", code="invalid_json") from error


def _refused(message: str) -> RequestRefused:
    """Return the refusal for what msgspec says, with the field that it names."""
    what, _, place = message.partition(" - at `$")
    field = place.rstrip("`").lstrip(".").partition(".")[0].partition("[")[0]
    if "unknown field `" in what:
        unknown = what.partition("`")[2].rstrip("`")
        path = f"{field}.{unknown}" if field else unknown
        return RequestRefused(f"this server knows no field {path!r}; leave it out", path, "unknown_parameter")
    if "missing required field `" in what:
        missing = what.partition("`")[2].rstrip("`")
        return RequestRefused(f"the field {missing!r} is missing", missing, "missing_parameter")
    return RequestRefused(
        f"{field or 'the body'}: {what[:1].lower()}{what[1:]}", field or None, "invalid_value"
    )


Looked = Annotated[str, Meta(min_length=1, description="The text that is read.")]
Layer = Annotated[int, Meta(ge=0, description="Counted from 0 at the bottom; the top one where left out.")]
What = Literal["h", "c", "i", "f", "g", "o", "r", "z", "n"]
Property = Literal[
    "inside_quotes",
    "inside_brackets",
    "line_position",
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
    """The body of POST /inside: which states or gates to tell of, after each token."""

    text: Looked
    model: Name | None = None
    layer: Layer | None = None
    what: Annotated[What, Meta(description="RNN: h; LSTM: h, c, i, f, g, o; GRU: h, r, z, n.")] = "h"


class UnitsRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /units: ``property`` or ``span``, not both."""

    text: Looked
    model: Name | None = None
    layer: Layer | None = None
    what: Annotated[What, Meta(description="As in POST /inside.")] = "h"
    top: Annotated[int, Meta(ge=1, le=10_000, description="How many units to tell of.")] = 10
    property: Property | None = None
    span: (
        Annotated[tuple[int, int], Meta(description="The first character, and the one after the last.")]
        | None
    ) = None


class ThroughTimeRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /through-time."""

    text: Looked
    index: Annotated[int, Meta(ge=0, description="The token that is predicted, counted from 0.")]
    model: Name | None = None
