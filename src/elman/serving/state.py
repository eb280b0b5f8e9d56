"""What the requests of one server share: models, limits, counts.

How much of a server one request, and all of them together, may ask for.

Work that is done beside the engines: one piece at a time, in a thread of its own, while texts go on.

The models that a server has, by name.

What a server tells of itself to Prometheus.

What the answers of one server share.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.requests import Request

from elman.errors import ConfigError
from elman.serving.engine import Engine
from elman.serving.schemas import RequestRefused, too_many
from elman.text_model import TextModel, load


@dataclass(frozen=True)
class Limits:
    """Limits of a server; what is beyond one is refused with a 4xx answer that names it."""

    body_bytes: int = 1 << 20
    body_seconds: float = 10.0  # to send a body in
    prompt_tokens: int = 16_384
    prompts: int = 256  # in a request
    choices: int = 16  # n and best_of
    max_tokens: int = 16_384  # to generate for a choice
    inside_tokens: int = 1024  # of a text whose states are looked at
    inside_values: int = 400_000  # tokens times units
    inside_waiting: int = 32  # requests that look inside a model, or wait for it
    streams: int = 64  # at the same time
    batch_size: int = 64  # steps of so many texts are taken together; others wait for their turn
    waiting: int = 1024  # texts that are read, scored or continued, or wait for it
    seconds: float = 300.0  # a request
    connections: int = 512


T = TypeVar("T")


class Aside:
    """Does pieces of work in the order in which they come; no more than ``most`` wait or are under way.

    There is one thread, however many ask: the engines never share the machine with more than that.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="elman-aside")
        self._pending: set[Future[Any]] = set()

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Hand over a piece of work; one that is cancelled before it has begun never does.

        Raises RequestRefused where too many wait.
        """
        if len(self._pending) >= self._most:
            raise too_many("too many requests wait for a look inside the models")
        future = self._thread.submit(work)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def stop(self) -> None:
        """End the thread, once the piece under way is done; the others are not begun."""
        self._thread.shutdown(cancel_futures=True)


class Served:
    """A model, its name, and the engine that takes its steps."""

    def __init__(self, name: str, text_model: TextModel, limits: Limits, width: int | None = None) -> None:
        self.name, self.text_model = name, text_model
        self.created = int(time.time())
        self.engine = Engine(text_model, limits.batch_size, width)


class Models:
    """The models of a server; the first answers where a request names none."""

    def __init__(self, served: Sequence[Served]) -> None:
        self.all = list(served)
        self._by_name = {each.name: each for each in self.all}
        if len(self._by_name) < len(self.all):
            raise ConfigError(
                "two of the models to serve have the same name, which is that of their folder; rename one"
            )

    def __getitem__(self, name: str | None) -> Served:
        found = self.all[0] if name is None else self._by_name.get(name)
        if found is None:
            known = ", ".join(self._by_name)
            raise RequestRefused(
                f"there is no model {name!r} here; choose from {known}", "model", "model_not_found", 404
            )
        return found

    def start(self) -> None:
        """Start all engines."""
        for each in self.all:
            each.engine.start()

    def stop(self) -> None:
        """Stop all engines."""
        for each in self.all:
            each.engine.stop()


def load_models(runs: Sequence[Path], limits: Limits, width: int | None = None) -> Models:
    """Load the models of runs or model files; each is named like its folder, or its file without the ending.

    Raises ModelFileError as `load` does, ConfigError for two of one name.
    """
    return Models([Served(name_of(run), load(run), limits, width) for run in runs])


def name_of(run: Path) -> str:
    """Return the name of a run or a model file."""
    resolved = run.resolve()
    return resolved.name if resolved.is_dir() else resolved.name.partition(".")[0]


SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class Metrics:
    """The counts of one server, in a registry of its own."""

    def __init__(self, models: Models) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter("elman_requests", "Requests answered", ["route", "status"], registry=registry)
        self.seconds = Histogram(
            "elman_request_seconds",
            "Time from a request to the end of its answer",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.first_token = Histogram(
            "elman_first_token_seconds",
            "Time from a request to the first text of a stream",
            buckets=SECONDS,
            registry=registry,
        )
        self.prompt_tokens = Counter(
            "elman_prompt_tokens", "Tokens of prompts and of scored texts", ["model"], registry=registry
        )
        self.drawn_tokens = Counter("elman_drawn_tokens", "Tokens drawn", ["model"], registry=registry)
        self.streams = Gauge("elman_streams", "Streams at the moment", registry=registry)
        busy = Gauge("elman_sequences_busy", "Sequences at work", ["model"], registry=registry)
        waiting = Gauge(
            "elman_sequences_waiting", "Texts that wait for a sequence", ["model"], registry=registry
        )
        for each in models.all:
            busy.labels(each.name).set_function(partial(getattr, each.engine, "busy"))
            waiting.labels(each.name).set_function(partial(getattr, each.engine, "waiting"))

    def text(self) -> bytes:
        """Return all counts in Prometheus's text format."""
        return generate_latest(self._registry)


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
