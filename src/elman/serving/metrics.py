"""What a server tells of itself to Prometheus."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from elman.serving.served import Models

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
        busy = Gauge("elman_lanes_busy", "Lanes at work", ["model"], registry=registry)
        waiting = Gauge("elman_lanes_waiting", "Texts that wait for a lane", ["model"], registry=registry)
        for each in models.all:
            busy.labels(each.name).set_function(partial(getattr, each.engine, "busy"))
            waiting.labels(each.name).set_function(partial(getattr, each.engine, "waiting"))

    def text(self) -> bytes:
        """Return all counts in Prometheus's text format."""
        return generate_latest(self._registry)
