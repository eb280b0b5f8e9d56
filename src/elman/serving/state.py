"""What the requests of one server share: models with their engines, metrics, threads beside the event loop."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.requests import Request

from elman.errors import ConfigError
from elman.inspection.examples import comparable
from elman.serving.engine import Engine
from elman.serving.followed_run import FollowedRun
from elman.serving.lesson import Lessons
from elman.serving.schemas import Limits, RequestRefused, too_many_requests
from elman.serving.sequences import Deliveries
from elman.text_model import Model, TextModel, as_model

T = TypeVar("T")
SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)  # buckets of the histograms


class ServedModel:
    """A model, its name, and the engine that takes its steps."""

    def __init__(self, name: str, text_model: TextModel, limits: Limits, width: int | None = None) -> None:
        self.name, self.text_model = name, text_model
        self.created = int(time.time())
        self.engine = Engine(text_model, limits.batch_size, width)


class Models:
    """The models of a server, by name. The first is the default."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self.all = list(models)
        self._by_name = {each.name: each for each in self.all}
        if len(self._by_name) < len(self.all):
            raise ConfigError(
                "two of the models to serve have the same name, which is that of their folder; rename one"
            )

    def __getitem__(self, name: str | None) -> ServedModel:
        found = self.all[0] if name is None else self._by_name.get(name)
        if found is None:
            known = ", ".join(self._by_name)
            raise RequestRefused(
                f"there is no model {name!r}; choose one of: {known}", "model", "model_not_found", 404
            )
        return found

    @cached_property
    def comparable(self) -> dict[str, list[str]]:
        """For each model, the names of the others that read the same texts."""
        return comparable({each.name: each.text_model for each in self.all})

    def start(self) -> None:
        """Start all engines."""
        for each in self.all:
            each.engine.start()

    def stop(self) -> None:
        """Stop all engines."""
        for each in self.all:
            each.engine.stop()


def load_models(models: Mapping[str, Model], limits: Limits, width: int | None = None) -> Models:
    """Load models by name, each a model, a run or a model file.

    Raises:
        ModelFileError: a file is not a model, as in `load`.
    """
    return Models([ServedModel(name, as_model(model), limits, width) for name, model in models.items()])


def name_of(run: Path) -> str:
    """Return the name of a run or a model file: that of the folder, or of the file up to its first dot."""
    resolved = run.resolve()
    return resolved.name if resolved.is_dir() else resolved.name.partition(".")[0]


class SideThread:
    """Runs tasks one at a time, in order, while the engines continue. Up to ``max_pending`` run or wait.

    There is one thread, however many clients there are, so the engines share the machine with no more than that.
    """

    def __init__(self, max_pending: int, name: str = "side") -> None:
        self._max_pending = max_pending
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"elman-{name}")
        self._pending: set[Future[Any]] = set()

    def submit(self, task: Callable[[], T], always: bool = False) -> "Future[T]":
        """Queue a task. If it is cancelled before it starts, it never does.

        Raises RequestRefused if too many tasks wait, unless the task is to be run ``always``.
        """
        if len(self._pending) >= self._max_pending and not always:
            raise too_many_requests("too many requests of this kind are waiting")
        future = self._thread.submit(task)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def stop(self) -> None:
        """End the thread after the running task. The others never start."""
        self._thread.shutdown(cancel_futures=True)


class Metrics:
    """The metrics of one server, in a Prometheus registry of its own."""

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
        self.drawn_tokens = Counter("elman_drawn_tokens", "Tokens generated", ["model"], registry=registry)
        self.streams = Gauge("elman_streams", "Open streams", registry=registry)
        busy = Gauge("elman_sequences_busy", "Sequences that take steps", ["model"], registry=registry)
        waiting = Gauge(
            "elman_sequences_waiting", "Sequences that wait for a slot", ["model"], registry=registry
        )
        for each in models.all:
            busy.labels(each.name).set_function(partial(getattr, each.engine, "busy"))
            waiting.labels(each.name).set_function(partial(getattr, each.engine, "waiting"))

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)


class Server:
    """The shared state of a server.

    ``runs`` are the folders whose metrics may be read, by name. With ``lessons``, it trains small networks on request.
    """

    def __init__(
        self, models: Models, limits: Limits, runs: Mapping[str, Path], lessons: bool = False
    ) -> None:
        self.models, self.limits = models, limits
        self.runs = {name: FollowedRun(folder) for name, folder in runs.items()}
        self.lessons = Lessons(limits.lessons) if lessons else None
        self.metrics = Metrics(models)
        self.side_thread = SideThread(limits.inside_waiting)  # for what goes on inside a network, and lessons
        self.quick_thread = SideThread(limits.waiting, "quick")  # for small bodies and answers
        self.slow_thread = SideThread(limits.large_waiting, "slow")  # for large ones
        self.streams = 0
        self.deliveries: Deliveries | None = None  # to the event loop, once it runs

    def stop(self) -> None:
        """End the threads after their running tasks."""
        for thread in (self.side_thread, self.quick_thread, self.slow_thread):
            thread.stop()


def server_of(request: Request) -> Server:
    """Return the state of the server that received a request."""
    server: Server = request.app.state.server
    return server
