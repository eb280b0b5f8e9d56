"""What the answers of one server share."""

from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request

from elman.serving.aside import Aside
from elman.serving.limits import Limits
from elman.serving.metrics import Metrics
from elman.serving.served import Models


class Server:
    """Models, limits and counts; ``runs`` are the folders whose metrics may be read, by name."""

    def __init__(self, models: Models, limits: Limits, runs: Mapping[str, Path]) -> None:
        self.models, self.limits, self.runs = models, limits, dict(runs)
        self.metrics = Metrics(models)
        self.aside = Aside(limits.inside_waiting)
        self.streams = 0


def server_of(request: Request) -> Server:
    """Return the server that a request came to."""
    server: Server = request.app.state.server
    return server
