"""GET /v1/models, /health, /metrics, /runs and /openapi.json: what a server reports about itself."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from elman import __version__
from elman.errors import RunError
from elman.serving.admission import reservation_of
from elman.serving.followed_run import ANSWER_BYTES
from elman.serving.schemas import (
    CompletionRequest,
    DetokenizeRequest,
    ExamplesRequest,
    InfluenceRequest,
    InsideRequest,
    LessonRequest,
    LessonStepRequest,
    NextRequest,
    RequestRefused,
    RescoreRequest,
    ScoreRequest,
    ThroughTimeRequest,
    TokenizeRequest,
    UnitsRequest,
    UnrollRequest,
    json_bytes_response,
    json_response,
)
from elman.serving.state import ServedModel, server_of

LINE_FACTOR = 4  # memory of lines of metrics: the lines, parsed, and the answer
POST_ENDPOINTS = {
    "/v1/completions": (CompletionRequest, "Continue a text"),
    "/tokenize": (TokenizeRequest, "Split a text into tokens"),
    "/detokenize": (DetokenizeRequest, "Join tokens to a text"),
    "/score": (ScoreRequest, "Return the surprisal of every token"),
    "/next": (NextRequest, "Return the most probable next tokens"),
    "/rescore": (RescoreRequest, "Rank candidates by probability"),
    "/inside": (InsideRequest, "Return a state or gate of a recurrent layer after every token"),
    "/units": (UnitsRequest, "Find the hidden units that correlate with a property of the text"),
    "/through-time": (ThroughTimeRequest, "Return how far back the gradient of a prediction reaches"),
    "/lesson": (LessonRequest, "Begin to train an RNN and a gated network on lines of the rooms world"),
    "/lesson/step": (LessonStepRequest, "Train both a little; return what they answer and write"),
    "/influence": (InfluenceRequest, "Return by how much other earlier tokens would change a prediction"),
    "/examples": (ExamplesRequest, "Return texts that show what a model has learnt"),
    "/unroll": (UnrollRequest, "Return what every step over the end of a text reads, holds and predicts"),
}
GET_ENDPOINTS = {
    "/v1/models": "List the models",
    "/tokenizer_info": "Describe the tokenizer",
    "/inside/models": "List the models' cells, layers and sizes",
    "/lesson/offer": "Say whether this server trains on request, and what the networks will be asked",
    "/runs": "List the runs whose training can be followed",
    "/health": "Check the server's health",
    "/openapi.json": "This document",
}
TEXT_ENDPOINTS = {"/metrics": "Metrics in Prometheus's text format", "/": "The web page"}
NAMED_ENDPOINTS = {
    "/v1/models/{name}": ("Describe a model", []),
    "/runs/{name}/metrics": (
        "The lines of a run's metrics",
        [{"name": "after", "in": "query", "schema": {"type": "integer", "minimum": 0}}],
    ),
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document, made from the schemas that requests are parsed with."""
    kinds = [kind for kind, _ in POST_ENDPOINTS.values()]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    paths: dict[str, Any] = {}
    for (path, (_, summary)), schema in zip(POST_ENDPOINTS.items(), schemas, strict=True):
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        also = ("text/event-stream",) if path == "/v1/completions" else ()
        paths[path] = {"post": _operation(summary, "application/json", *also) | {"requestBody": body}}
    for path, summary in GET_ENDPOINTS.items():
        paths[path] = {"get": _operation(summary, "application/json")}
    for path, summary in TEXT_ENDPOINTS.items():
        paths[path] = {"get": _operation(summary, "text/plain", "text/html")}
    for path, (summary, query) in NAMED_ENDPOINTS.items():
        name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        paths[path] = {"get": _operation(summary, "application/json") | {"parameters": [name, *query]}}
    paths["/tokenizer_info"]["get"]["parameters"] = [
        {"name": "model", "in": "query", "schema": {"type": "string"}}
    ]
    return {
        "openapi": "3.1.0",
        "info": {"title": "elman", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _operation(summary: str, *media: str) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "summary": summary,
        "responses": {
            "200": {"description": "The answer", "content": {kind: {} for kind in media}},
            "default": {"description": "An error", "content": error},
        },
    }


async def models(request: Request) -> Response:
    """List the models."""
    data = [_as_model(each) for each in server_of(request).models.all]
    return json_response({"object": "list", "data": data})


async def model(request: Request) -> Response:
    """Describe one model."""
    return json_response(_as_model(server_of(request).models[request.path_params["name"]]))


def _as_model(model: ServedModel) -> dict[str, object]:
    return {"id": model.name, "object": "model", "created": model.created, "owned_by": "elman"}


async def health(request: Request) -> Response:
    """Report whether the engines run, and how busy they are."""
    server = server_of(request)
    engines = [each.engine for each in server.models.all]
    alive = all(engine.alive for engine in engines)
    body = {
        "status": "ok" if alive else "failed",
        "streams": server.streams,
        "sequences_busy": sum(engine.busy for engine in engines),
        "sequences_waiting": sum(engine.waiting for engine in engines),
    }
    return json_response(body, 200 if alive else 503)


async def metrics(request: Request) -> Response:
    """Return the metrics in Prometheus's text format."""
    text = server_of(request).metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4")


async def runs(request: Request) -> Response:
    """List the runs whose training can be followed."""
    return json_response({"runs": list(server_of(request).runs)})


async def run_metrics(request: Request) -> Response:
    """Return the lines of a run's metrics from number ``?after=`` on, 1 MiB of them at most; ``next`` continues."""
    name, after = request.path_params["name"], request.query_params.get("after", "0")
    run = server_of(request).runs.get(name)
    if run is None:
        raise RequestRefused(
            f"there is no run {name!r}; GET /runs lists the runs", "name", "run_not_found", 404
        )
    if not (after.isascii() and after.isdecimal() and len(after) < 12):
        raise RequestRefused(f"after must be an integer ≥ 0, got {after[:20]!r}", "after")

    reservation_of(request).add(LINE_FACTOR * ANSWER_BYTES)

    def read() -> bytes:
        lines, number, more = run.lines(int(after))
        unread = {"more": True} if more else {}
        return msgspec.json.encode({"run": name, "lines": lines, "next": number, **unread})

    try:
        return json_bytes_response(await asyncio.to_thread(read))
    except RunError as error:
        raise RequestRefused(f"the metrics of run {name!r} cannot be read", "name", status=404) from error


async def openapi(request: Request) -> Response:
    """Return the OpenAPI document."""
    return json_response(openapi_document())
