"""POST /v1/completions."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from elman.serving.bodies import body_of, json_answer
from elman.serving.continuation import Continuation, Piece, as_logprobs
from elman.serving.schemas import CompletionRequest, too_many
from elman.serving.sequences import Channel, Job
from elman.serving.state import Served, Server, server_of
from elman.serving.streams import EventStream, check_room, done
from elman.serving.validation import Plan, plan_of


async def completions(request: Request) -> Response:
    """Answer a completion request, in one piece or as a stream."""
    asked = await body_of(request, CompletionRequest)
    server = server_of(request)
    served = server.models[asked.model]
    plan = plan_of(asked, served.text_model, server.limits)
    server.metrics.prompt_tokens.labels(served.name).inc(sum(len(prompt.ids) for prompt in plan.prompts))
    answer = Answer(served.name, plan)
    if not asked.stream:
        return await _whole(request, served, answer)
    if server.streams >= server.limits.streams:
        raise too_many(f"{server.limits.streams} streams are open, and no more are served")
    with_usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
    return _stream(server, served, answer, with_usage)


class Answer:
    """What the answer to a completion request is made of."""

    def __init__(self, model: str, plan: Plan) -> None:
        self.plan = plan
        self.works: list[Continuation] = []
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
        }

    def jobs(self, channel: Channel, emit: Any) -> list[Job]:
        """Return a job for every prompt, and one work in it for every try."""
        plan, jobs = self.plan, []
        for prompt in plan.prompts:
            works = [
                Continuation(
                    len(self.works) + k,
                    prompt,
                    plan.chooser(k),
                    plan.max_tokens,
                    emit,
                    plan.stops,
                    plan.top,
                    plan.echo,
                )
                for k in range(plan.tries)
            ]
            self.works += works
            jobs.append(Job(prompt.unscored if plan.scores_prompts else prompt.to_read, works, channel))
        return jobs

    def choice(self, index: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        """Return a choice, or a part of one, made of pieces."""
        tokens = [token for piece in pieces for token in piece.tokens]
        return {
            "index": index,
            "text": "".join(piece.text for piece in pieces),
            "logprobs": None if self.plan.top is None else as_logprobs(tokens),
            "finish_reason": pieces[-1].finish,
        }

    def best(self) -> list[int]:
        """Return the numbers of the works that are the answer, those of each prompt together, the best first."""
        plan, found = self.plan, []
        for first in range(0, len(self.works), plan.tries):
            of_prompt = list(range(first, first + plan.tries))
            if plan.tries > plan.choices:
                of_prompt.sort(key=lambda k: -self.works[k].mean_logprob)
            found += of_prompt[: plan.choices]
        return found

    @property
    def drawn(self) -> int:
        """The number of tokens drawn, for all tries."""
        return sum(work.drawn for work in self.works)

    @property
    def usage(self) -> dict[str, int]:
        """The numbers of tokens."""
        read, drawn = sum(len(prompt.ids) for prompt in self.plan.prompts), self.drawn
        return {"prompt_tokens": read, "completion_tokens": drawn, "total_tokens": read + drawn}

    def body(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """Return an answer, or an event of a stream."""
        return {**self._head, "choices": choices, **more}


async def _whole(request: Request, served: Served, answer: Answer) -> Response:
    pieces: dict[int, list[Piece]] = {}
    channel = Channel()
    jobs = answer.jobs(channel, lambda piece: pieces.setdefault(piece.index, []).append(piece))
    try:
        await done(request, served, jobs, channel)
    finally:
        server_of(request).metrics.drawn_tokens.labels(served.name).inc(answer.drawn)
    choices = [answer.choice(k, pieces[number]) for k, number in enumerate(answer.best())]
    return json_answer(answer.body(choices, usage=answer.usage))


def _stream(server: Server, served: Served, answer: Answer, with_usage: bool) -> EventStream:
    channel = Channel()
    jobs = answer.jobs(channel, channel.put)
    check_room(server, served, len(answer.works))

    def event(item: Any) -> dict[str, Any] | None:
        if not isinstance(item, Piece):
            return None
        more = {"usage": None} if with_usage else {}
        return answer.body([answer.choice(item.index, [item])], **more)

    def last() -> dict[str, Any] | None:
        server.metrics.drawn_tokens.labels(served.name).inc(answer.drawn)
        return answer.body([], usage=answer.usage) if with_usage else None

    return EventStream(server, served, jobs, channel, event, last)
