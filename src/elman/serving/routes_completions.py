"""POST /v1/completions.

The path of a request: `read_request` parses it in a thread (`admission`, `schemas`), where `validate_completion` checks
it (`validation`), the engine runs a `Continuation` for each completion (`engine`, `sequences`, `continuation`), and the
answer is sent whole or as a stream of events (`streams`).
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from elman.serving.admission import AnswerSize, json_answer, read_request
from elman.serving.continuation import Chunk, Continuation, as_logprobs
from elman.serving.schemas import CompletionRequest, too_many_requests
from elman.serving.sequences import Channel, Job
from elman.serving.state import ServedModel, Server, server_of
from elman.serving.streams import EventStream, check_queue, finish_jobs
from elman.serving.validation import CompletionOptions, validate_completion


async def completions(request: Request) -> Response:
    """Answer a completion request, whole or as a stream."""
    server = server_of(request)
    channel = Channel(server.deliveries)
    chunks: dict[int, list[Chunk]] = {}
    size = AnswerSize(request)

    def keep(chunk: Chunk) -> None:
        chunks.setdefault(chunk.index, []).append(chunk)

    def prepare(body: CompletionRequest) -> tuple[CompletionRequest, ServedModel, Answer, list[Job]]:
        model = server.models[body.model]
        answer = Answer(model.name, validate_completion(body, model.text_model, server.limits, size))
        if body.stream and server.streams >= server.limits.streams:
            raise too_many_requests(f"all {server.limits.streams} streams of this server are in use")
        emit = channel.put if body.stream else keep
        return body, model, answer, answer.make_jobs(channel, emit)

    body, model, answer, jobs = await read_request(request, CompletionRequest, prepare)
    prompts = answer.options.prompts
    server.metrics.prompt_tokens.labels(model.name).inc(sum(len(prompt.ids) for prompt in prompts))
    if body.stream:
        with_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        return _stream(server, model, answer, jobs, channel, with_usage)
    try:
        await finish_jobs(request, model, jobs, channel)
    finally:
        server.metrics.drawn_tokens.labels(model.name).inc(answer.drawn)
    return await json_answer(server, size.entries, lambda: answer.whole(chunks))


def _stream(
    server: Server, model: ServedModel, answer: "Answer", jobs: list[Job], channel: Channel, with_usage: bool
) -> EventStream:
    check_queue(server, model, len(answer.continuations))

    # the JSON of an event is the same around its choices
    before, _, after = msgspec.json.encode(
        answer.body([], usage=None) if with_usage else answer.body([])
    ).rpartition(b"[]")

    def make_event(item: Any) -> bytes | None:
        if not isinstance(item, Chunk):
            return None
        return before + msgspec.json.encode([answer.choice(item.index, [item])]) + after

    def last_event() -> bytes | None:
        server.metrics.drawn_tokens.labels(model.name).inc(answer.drawn)
        return msgspec.json.encode(answer.body([], usage=answer.usage)) if with_usage else None

    return EventStream(server, model, jobs, channel, make_event, last_event)


class Answer:
    """The answer to a completion request, and the jobs that make its choices."""

    def __init__(self, model: str, options: CompletionOptions) -> None:
        self.options = options
        self.continuations: list[Continuation] = []
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
        }

    def make_jobs(self, channel: Channel, emit: Callable[[Chunk], None]) -> list[Job]:
        """Return a job for each prompt, with ``best_of`` continuations that emit their chunks."""
        options, jobs = self.options, []
        for prompt in options.prompts:
            first = len(self.continuations)
            tasks = [Continuation(first + k, prompt, options, k, emit) for k in range(options.best_of)]
            self.continuations += tasks
            jobs.append(Job(prompt.unscored if options.scores_prompts else prompt.context, tasks, channel))
        return jobs

    def choice(self, index: int, chunks: Sequence[Chunk]) -> dict[str, Any]:
        """Return a choice, or a part of one, made of chunks."""
        tokens = [token for chunk in chunks for token in chunk.tokens]
        return {
            "index": index,
            "text": "".join(chunk.text for chunk in chunks),
            "logprobs": None if self.options.logprobs is None else as_logprobs(tokens),
            "finish_reason": chunks[-1].finish_reason,
        }

    def whole(self, chunks: Mapping[int, Sequence[Chunk]]) -> dict[str, Any]:
        """Return the body of the whole answer, given the chunks of each continuation."""
        choices = [self.choice(index, chunks[k]) for index, k in enumerate(self.best())]
        return self.body(choices, usage=self.usage)

    def best(self) -> list[int]:
        """Return the indices of the ``n`` continuations of each prompt that have the highest mean ln P."""
        options, found = self.options, []
        for first in range(0, len(self.continuations), options.best_of):
            of_prompt = list(range(first, first + options.best_of))
            if options.best_of > options.n:
                of_prompt.sort(key=lambda k: -self.continuations[k].mean_logprob)
            found += of_prompt[: options.n]
        return found

    @property
    def drawn(self) -> int:
        """The number of tokens drawn for all continuations."""
        return sum(each.drawn for each in self.continuations)

    @property
    def usage(self) -> dict[str, int]:
        """The numbers of tokens."""
        read, drawn = sum(len(prompt.ids) for prompt in self.options.prompts), self.drawn
        return {"prompt_tokens": read, "completion_tokens": drawn, "total_tokens": read + drawn}

    def body(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """Return the body of an answer, or an event of a stream."""
        return {**self._head, "choices": choices, **more}
