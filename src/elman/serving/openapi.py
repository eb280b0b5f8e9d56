"""The OpenAPI document, made from what requests are parsed by."""

from typing import Any

import msgspec

from elman import __version__
from elman.serving.inside_requests import InsideRequest, ThroughTimeRequest, UnitsRequest
from elman.serving.requests import (
    CompletionRequest,
    DetokenizeRequest,
    NextRequest,
    RescoreRequest,
    ScoreRequest,
    TokenizeRequest,
)

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
