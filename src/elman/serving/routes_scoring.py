"""POST /score, /next and /rescore: surprisals, the next token's distribution, candidates ranked by probability."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from elman.evaluation.surprisal import entropy_bits, most_probable
from elman.generation import Sampler
from elman.models.base import LogProbs
from elman.serving.schemas import (
    NextRequest,
    RequestRefused,
    RescoreRequest,
    ScoreRequest,
    json_response,
    read_body,
)
from elman.serving.sequences import Channel, Job
from elman.serving.state import ServedModel, Server, server_of
from elman.serving.streams import finish_jobs
from elman.serving.validation import Prompt, make_prompt
from elman.text.offsets import token_offsets
from elman.text.token_writer import TokenWriter
from elman.text_model import TextModel


async def score(request: Request) -> Response:
    """Return the surprisal of every token of one or more texts."""
    server = server_of(request)
    body = await read_body(request, ScoreRequest, server.limits)
    model = server.models[body.model]
    texts = [body.text] if isinstance(body.text, str) else body.text
    _check_count(texts, "text", server)
    encoded = [_encode(model, text, body.eos, "text", server) for text in texts]
    tasks = [ScoreTask(ids, body.top) for ids in encoded]
    channel = Channel()
    jobs = [Job([], [task], channel, from_nothing=not body.bos) for task in tasks]
    _count_tokens(server, model, encoded)
    await finish_jobs(request, model, jobs, channel)
    results = [
        _scores_json(model.text_model, text, task.tokens, body.eos)
        for text, task in zip(texts, tasks, strict=True)
    ]
    return json_response({"model": model.name, "unit": model.text_model.unit, "results": results})


async def next_tokens(request: Request) -> Response:
    """Return the most probable next tokens."""
    server = server_of(request)
    body = await read_body(request, NextRequest, server.limits)
    model = server.models[body.model]
    text_model = model.text_model
    prompt = make_prompt(text_model, body.prompt, "prompt", server.limits)
    task, channel = NextTask(), Channel()
    _count_tokens(server, model, [prompt.ids])
    await finish_jobs(request, model, [Job(prompt.context, [task], channel)], channel)
    assert task.log_probs is not None
    sampler = Sampler(body.temperature, body.top_k, body.top_p)
    head = {"model": model.name, "unit": text_model.unit, "prompt_tokens": len(prompt.ids)}
    return json_response(head | _next_json(prompt, task.log_probs, sampler, body.top))


async def rescore(request: Request) -> Response:
    """Return candidates in the order of their probabilities, the most probable first."""
    server = server_of(request)
    body = await read_body(request, RescoreRequest, server.limits)
    model = server.models[body.model]
    _check_count(body.candidates, "candidates", server)
    encoded = [_encode(model, text, body.eos, "candidates", server) for text in body.candidates]
    context = make_prompt(model.text_model, body.context, "context", server.limits)
    tasks = [RescoreTask(ids) for ids in encoded]
    channel = Channel()
    _count_tokens(server, model, [context.ids, *encoded])
    await finish_jobs(request, model, [Job(context.context, tasks, channel)], channel)
    candidates = [
        _rescored_json(index, text, ids, task.ln_prob, model.text_model)
        for index, (text, ids, task) in enumerate(zip(body.candidates, encoded, tasks, strict=True))
    ]
    candidates.sort(key=lambda each: -each["ln_prob"])
    return json_response({"model": model.name, "unit": model.text_model.unit, "candidates": candidates})


def _check_count(texts: list[str], param: str, server: Server) -> None:
    if len(texts) > server.limits.prompts:
        message = f"{param} has {len(texts):,} texts, the limit of this server is {server.limits.prompts:,}"
        raise RequestRefused(message, param, "limit_exceeded")


def _encode(model: ServedModel, text: str, eos: bool, param: str, server: Server) -> list[int]:
    """Return the ids of a text; -1 for a token that the vocabulary lacks."""
    text_model, limit = model.text_model, server.limits.prompt_tokens
    _, ids = text_model.encode_line(text) if eos else text_model.encode(text)
    if len(ids) > limit:
        message = f"{param} has {len(ids):,} tokens, the limit of this server is {limit:,}; shorten it"
        raise RequestRefused(message, param, "context_length_exceeded")
    found: list[int] = ids.tolist()
    return found


def _count_tokens(server: Server, model: ServedModel, texts: list[list[int]]) -> None:
    server.metrics.prompt_tokens.labels(model.name).inc(sum(map(len, texts)))


@dataclass(frozen=True)
class ScoredToken:
    """A token of a text: ln P, its rank (1: the most probable), the entropy before it, and the best alternatives.

    A token that the vocabulary lacks (id -1) has probability 0 and rank 0.
    """

    id: int
    ln_prob: float
    rank: int
    entropy_bits: float
    top: list[tuple[int, float]]


class ScoreTask:
    """Scores ids token by token. An id of -1, a token that the vocabulary lacks, is scored but not read."""

    def __init__(self, ids: Sequence[int], top: int = 0) -> None:
        self.tokens: list[ScoredToken] = []
        self._ids, self._top = ids, top

    @property
    def needs_distribution(self) -> bool:
        """Whether there is a token to score."""
        return len(self.tokens) < len(self._ids)

    def next(self, log_probs: LogProbs | None) -> int | None:
        """Return the id to read next; None at the end."""
        while log_probs is not None and len(self.tokens) < len(self._ids):
            id_ = self._ids[len(self.tokens)]
            self.tokens.append(self._score(id_, log_probs))
            if id_ >= 0:
                return id_ if len(self.tokens) < len(self._ids) else None
        return None

    def _score(self, id_: int, log_probs: LogProbs) -> ScoredToken:
        ln_prob = float(log_probs[id_]) if id_ >= 0 else -math.inf
        rank = 1 + int((log_probs > log_probs[id_]).sum()) if id_ >= 0 else 0
        best = most_probable(log_probs, self._top).tolist()
        return ScoredToken(
            id_, ln_prob, rank, entropy_bits(log_probs), [(other, float(log_probs[other])) for other in best]
        )


class RescoreTask:
    """Sums ln P of ids. With an id of -1, a token that the vocabulary lacks, the text has probability 0."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ln_prob = -math.inf if -1 in ids else 0.0
        self._ids: Sequence[int] = [] if -1 in ids else ids
        self._done = 0

    @property
    def needs_distribution(self) -> bool:
        """Whether there is a token to score."""
        return self._done < len(self._ids)

    def next(self, log_probs: LogProbs | None) -> int | None:
        """Return the id to read next; None at the end."""
        if log_probs is None or not self.needs_distribution:
            return None
        id_ = self._ids[self._done]
        self.ln_prob += float(log_probs[id_])
        self._done += 1
        return id_ if self.needs_distribution else None


class NextTask:
    """Keeps the distribution of the next token."""

    def __init__(self) -> None:
        self.log_probs: NDArray[np.float64] | None = None

    @property
    def needs_distribution(self) -> bool:
        """Always True."""
        return True

    def next(self, log_probs: LogProbs | None) -> None:
        """Keep the distribution; read nothing more."""
        if log_probs is not None:
            self.log_probs = np.array(log_probs, np.float64)


def _scores_json(text_model: TextModel, text: str, tokens: list[ScoredToken], eos: bool) -> dict[str, Any]:
    """Return the scores of a text; each token is ``text[start:end]``."""
    given = text + "\n" if eos else text
    places = np.minimum(token_offsets(text_model.tokenizer, given)[: len(tokens)], len(text)).tolist()
    writer = TokenWriter(text_model.tokenizer, text_model.vocabulary)
    found = []
    for token, (start, end) in zip(tokens, places, strict=True):
        unknown = token.id == text_model.vocabulary.unknown_id
        found.append(
            {
                "token": writer.name(token.id) if token.id >= 0 else text[start:end],
                "id": token.id,
                "start": start,
                "end": end,
                "surprisal_bits": 0.0 - token.ln_prob / math.log(2),
                "rank": token.rank,
                "unknown": unknown,
                "entropy_bits": token.entropy_bits,
                "top": [
                    {"token": writer.name(id_), "id": id_, "probability": math.exp(ln_prob)}
                    for id_, ln_prob in token.top
                ],
            }
        )
        if token.id >= 0:
            writer.push(token.id)
    ln_prob = sum(token.ln_prob for token in tokens)
    return {"text": text, **_text_score(ln_prob, len(tokens)), "tokens": found}


def _rescored_json(
    index: int, text: str, ids: list[int], ln_prob: float, text_model: TextModel
) -> dict[str, Any]:
    unknown = ids.count(text_model.vocabulary.unknown_id)
    return {"index": index, "text": text, **_text_score(ln_prob, len(ids)), "unknown": unknown}


def _text_score(ln_prob: float, tokens: int) -> dict[str, Any]:
    mean = -ln_prob / tokens if tokens else math.nan
    return {
        "ln_prob": ln_prob,
        "log10_prob": ln_prob / math.log(10),
        "perplexity": math.exp(mean) if mean < 700 else math.inf,
        "token_count": tokens,
    }


def _next_json(prompt: Prompt, log_probs: Any, sampler: Sampler, top: int) -> dict[str, Any]:
    """Return the most probable tokens: ``probability`` is the sampler's, ``ln_prob`` the model's."""
    probs = sampler.distribution(log_probs)
    writer = prompt.writer()
    with np.errstate(divide="ignore"):
        best = most_probable(np.log(probs), top).tolist()
    return {
        "entropy_bits": entropy_bits(log_probs),
        "possible": int((probs > 0).sum()),
        "candidates": [
            {
                "token": writer.name(id_),
                "id": id_,
                "probability": float(probs[id_]),
                "ln_prob": float(log_probs[id_]),
            }
            for id_ in best
            if probs[id_] > 0
        ],
    }
