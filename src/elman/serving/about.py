"""What a server tells of itself: its models, its health, its counts, and how the training of a run goes."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from elman.errors import RunError
from elman.serving.bodies import json_answer
from elman.serving.openapi import document
from elman.serving.problems import RequestRefused
from elman.serving.served import Served
from elman.serving.server import server_of
from elman.training.metrics import read_metrics


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
        "lanes_busy": sum(engine.busy for engine in engines),
        "lanes_waiting": sum(engine.waiting for engine in engines),
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
