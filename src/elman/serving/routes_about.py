"""GET /v1/models, /health, /metrics, /runs, /openapi.json.

The OpenAPI document, made from what requests are parsed by.

What a server tells of itself: its models, its health, its counts, and how the training of a run goes.
"""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from elman import __version__
from elman.errors import RunError
from elman.formats.metrics_log import read_metrics
from elman.serving.bodies import json_answer
from elman.serving.schemas import (
    CompletionRequest,
    DetokenizeRequest,
    InsideRequest,
    NextRequest,
    RequestRefused,
    RescoreRequest,
    ScoreRequest,
    ThroughTimeRequest,
    TokenizeRequest,
    UnitsRequest,
)
from elman.serving.state import Served, server_of

POSTS = {
    "/v1/completions": (CompletionRequest, "Continue a text"),
    "/tokenize": (TokenizeRequest, "Cut a text into tokens"),
    "/detokenize": (DetokenizeRequest, "Put tokens together"),
    "/score": (ScoreRequest, "Tell the surprisal of every token"),
    "/next": (NextRequest, "Tell the most probable next tokens"),
    "/rescore": (RescoreRequest, "Rank candidates by probability"),
    "/inside": (InsideRequest, "Tell of a recurrent layer's states or gates after every token"),
    "/units": (UnitsRequest, "Name the hidden units that go with a property of the text"),
    "/through-time": (ThroughTimeRequest, "Tell how far back the gradient of a prediction reaches"),
}
GETS = {
    "/v1/models": "List the models",
    "/tokenizer_info": "Tell of the tokenizer",
    "/inside/models": "Tell of the models' cells, layers and sizes",
    "/runs": "Name the runs that may be watched",
    "/health": "Tell whether the server is well",
    "/openapi.json": "This document",
}
TEXTS = {"/metrics": "The counts, for Prometheus", "/": "The page for people"}
NAMED = {
    "/v1/models/{name}": ("Tell of a model", []),
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


def document() -> dict[str, Any]:
    """Return the document, OpenAPI 3.1."""
    kinds = [kind for kind, _ in POSTS.values()]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    paths: dict[str, Any] = {}
    for (path, (_, summary)), schema in zip(POSTS.items(), schemas, strict=True):
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        also = ("text/event-stream",) if path == "/v1/completions" else ()
        paths[path] = {"post": _operation(summary, "application/json", *also) | {"requestBody": body}}
    for path, summary in GETS.items():
        paths[path] = {"get": _operation(summary, "application/json")}
    for path, summary in TEXTS.items():
        paths[path] = {"get": _operation(summary, "text/plain", "text/html")}
    for path, (summary, query) in NAMED.items():
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
            "default": {"description": "What is wrong with the request", "content": error},
        },
    }


async def models(request: Request) -> Response:
    """Answer with the models."""
    data = [_as_model(each) for each in server_of(request).models.all]
    return json_answer({"object": "list", "data": data})


async def model(request: Request) -> Response:
    """Answer with one model."""
    return json_answer(_as_model(server_of(request).models[request.path_params["name"]]))


def _as_model(served: Served) -> dict[str, object]:
    return {"id": served.name, "object": "model", "created": served.created, "owned_by": "elman"}


async def health(request: Request) -> Response:
    """Tell that the server is there, and how busy."""
    server = server_of(request)
    engines = [each.engine for each in server.models.all]
    alive = all(engine.alive for engine in engines)
    body = {
        "status": "ok" if alive else "failed",
        "streams": server.streams,
        "sequences_busy": sum(engine.busy for engine in engines),
        "sequences_waiting": sum(engine.waiting for engine in engines),
    }
    return json_answer(body, 200 if alive else 503)


async def metrics(request: Request) -> Response:
    """Answer with the counts, for Prometheus."""
    text = server_of(request).metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4")


async def runs(request: Request) -> Response:
    """Name the runs whose training may be watched."""
    return json_answer({"runs": list(server_of(request).runs)})


async def run_metrics(request: Request) -> Response:
    """Answer with the lines of a run's metrics from the one numbered ``?after=`` on."""
    name, after = request.path_params["name"], request.query_params.get("after", "0")
    folder = server_of(request).runs.get(name)
    if folder is None:
        raise RequestRefused(f"no run {name!r} is watched here", "name", "run_not_found", 404)
    if not (after.isascii() and after.isdecimal() and len(after) < 12):
        raise RequestRefused("after must be the number of a line", "after")
    try:
        lines = await asyncio.to_thread(read_metrics, folder)
    except RunError as error:
        raise RequestRefused(f"the metrics of {name!r} cannot be read now", "name", status=404) from error
    return json_answer({"run": name, "lines": lines[int(after) :], "next": len(lines)})


async def openapi(request: Request) -> Response:
    """Answer with the OpenAPI document."""
    return json_answer(document())
