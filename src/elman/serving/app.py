"""The application: routes, middleware and error answers."""

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

from elman.serving import routes_about, routes_inside, routes_lesson, routes_scoring, routes_tokens
from elman.serving.admission import Admission, Budget
from elman.serving.middleware import HEADERS, AccessControl, RequestCounter
from elman.serving.routes_completions import completions
from elman.serving.routes_page import page_routes
from elman.serving.schemas import SERVER_FAILED, Limits, RequestRefused, json_response
from elman.serving.sequences import Deliveries
from elman.serving.state import Models, Server
from elman.serving.streams import ClientGone
from elman.web import read_assets

log = logging.getLogger(__name__)


def make_app(
    models: Models,
    limits: Limits | None = None,
    runs: Mapping[str, Path] | None = None,
    key: str | None = None,
    hosts: Collection[str] | None = None,
    lessons: bool = False,
) -> Starlette:
    """Return the application. Its lifespan starts and stops the engines of the models.

    Args:
        models: the models to serve.
        limits: of requests; the defaults if None.
        runs: the folders of runs whose metrics may be read, by name.
        key: the API key that clients must send; none is needed if None.
        hosts: the host names that requests may use; any if None.
        lessons: train small networks on request.
    """
    limits = limits or Limits()
    server = Server(models, limits, runs or {}, lessons)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        server.deliveries = Deliveries()
        models.start()
        try:
            yield
        finally:
            server.stop()
            models.stop()

    app = Starlette(
        routes=[
            *page_routes(read_assets()),
            Route("/v1/models", routes_about.models),
            Route("/v1/models/{name}", routes_about.model),
            Route("/v1/completions", completions, methods=["POST"]),
            Route("/score", routes_scoring.score, methods=["POST"]),
            Route("/next", routes_scoring.next_tokens, methods=["POST"]),
            Route("/rescore", routes_scoring.rescore, methods=["POST"]),
            Route("/tokenize", routes_tokens.tokenize, methods=["POST"]),
            Route("/detokenize", routes_tokens.detokenize, methods=["POST"]),
            Route("/tokenizer_info", routes_tokens.tokenizer_info),
            Route("/inside/models", routes_inside.inside_models),
            Route("/inside", routes_inside.inside, methods=["POST"]),
            Route("/units", routes_inside.units, methods=["POST"]),
            Route("/through-time", routes_inside.through_time_norms, methods=["POST"]),
            Route("/lesson/offer", routes_lesson.lesson_offer),
            Route("/lesson", routes_lesson.lesson, methods=["POST"]),
            Route("/lesson/step", routes_lesson.lesson_step, methods=["POST"]),
            Route("/influence", routes_inside.influence_bits, methods=["POST"]),
            Route("/examples", routes_inside.examples, methods=["POST"]),
            Route("/unroll", routes_inside.unrolled, methods=["POST"]),
            Route("/runs", routes_about.runs),
            Route("/runs/{name}/metrics", routes_about.run_metrics),
            Route("/health", routes_about.health),
            Route("/metrics", routes_about.metrics),
            Route("/openapi.json", routes_about.openapi),
        ],
        middleware=[
            Middleware(RequestCounter, metrics=server.metrics),
            Middleware(AccessControl, key=key, hosts=hosts),
            Middleware(Admission, budget=Budget(limits.memory_bytes)),
        ],
        exception_handlers={
            RequestRefused: _request_refused,
            HTTPException: _no_such_route,
            ClientGone: _client_gone,
            Exception: _server_failed,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.server = server
    return app


async def _request_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)
    headers = {"Retry-After": "1"} if error.status == 429 else {}
    if error.status in (408, 413, 415):
        headers["Connection"] = "close"  # the rest of the body is not read
    return json_response(error.body, error.status, headers)


async def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}; GET /openapi.json lists the endpoints"
    code = "method_not_allowed" if error.status_code == 405 else "not_found"
    refused = RequestRefused(message, code=code, status=error.status_code)
    return json_response(refused.body, error.status_code, dict(error.headers or {}))


async def _client_gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _server_failed(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return json_response(
        RequestRefused(SERVER_FAILED, code="internal_error", status=500).body, 500, dict(HEADERS)
    )
