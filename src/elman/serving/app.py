"""The application: which path leads to which answer."""

import contextlib
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from elman.serving import about, inside, scoring, tokens
from elman.serving.bodies import json_answer
from elman.serving.completions import completions
from elman.serving.guards import HEADERS, Counting, Guards
from elman.serving.limits import Limits
from elman.serving.pages import page_routes, read_assets
from elman.serving.problems import FAILED, RequestRefused
from elman.serving.served import Models
from elman.serving.server import Server
from elman.serving.waiting import ClientGone

log = logging.getLogger(__name__)


def make_app(
    models: Models,
    limits: Limits | None = None,
    runs: Mapping[str, Path] | None = None,
    key: str | None = None,
    hosts: Collection[str] | None = None,
) -> Starlette:
    """Return the application; its lifespan starts and stops the models' engines.

    ``runs`` are the folders of runs whose metrics may be read, by name; ``key`` is what clients must send, ``hosts``
    what they may call this server (None: anything).
    """
    server = Server(models, limits or Limits(), runs or {})

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        models.start()
        try:
            yield
        finally:
            server.aside.stop()
            models.stop()

    app = Starlette(
        routes=[
            *page_routes(read_assets()),
            Route("/v1/models", about.models),
            Route("/v1/models/{name}", about.model),
            Route("/v1/completions", completions, methods=["POST"]),
            Route("/score", scoring.score, methods=["POST"]),
            Route("/next", scoring.next_tokens, methods=["POST"]),
            Route("/rescore", scoring.rescore, methods=["POST"]),
            Route("/tokenize", tokens.tokenize, methods=["POST"]),
            Route("/detokenize", tokens.detokenize, methods=["POST"]),
            Route("/tokenizer_info", tokens.tokenizer_info),
            Route("/inside/models", inside.inside_models),
            Route("/inside", inside.inside, methods=["POST"]),
            Route("/units", inside.units, methods=["POST"]),
            Route("/through-time", inside.time_back, methods=["POST"]),
            Route("/runs", about.runs),
            Route("/runs/{name}/metrics", about.run_metrics),
            Route("/health", about.health),
            Route("/metrics", about.metrics),
            Route("/openapi.json", about.openapi),
        ],
        middleware=[
            Middleware(Counting, metrics=server.metrics),
            Middleware(Guards, key=key, hosts=hosts),
        ],
        exception_handlers={
            RequestRefused: _refused,
            HTTPException: _not_found,
            ClientGone: _gone,
            Exception: _failed,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.server = server
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)
    headers = {"Retry-After": "1"} if error.status == 429 else {}
    if error.status in (408, 413, 415):
        headers["Connection"] = "close"  # what is left of the body is not read
    return json_answer(error.answer, error.status, headers)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}; GET /openapi.json tells what there is"
    code = "method_not_allowed" if error.status_code == 405 else "not_found"
    refused = RequestRefused(message, code=code, status=error.status_code)
    return json_answer(refused.answer, error.status_code, dict(error.headers or {}))


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _failed(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return json_answer(RequestRefused(FAILED, code="internal_error", status=500).answer, 500, dict(HEADERS))
