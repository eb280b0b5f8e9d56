"""POST /score, /next and /rescore: surprisals, the next token's distribution, candidates ranked by probability."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from elman.evaluation.surprisal import entropy_bits, most_probable
from elman.generation import Sampler
from elman.models.base import LogProbs
from elman.serving.admission import AnswerSize, json_answer, read_request
from elman.serving.schemas import NextRequest, RequestRefused, RescoreRequest, ScoreRequest
from elman.serving.sequences import Channel, Job
from elman.serving.state import ServedModel, Server, server_of
from elman.serving.streams import finish_jobs
from elman.serving.validation import Prompt, check_characters, make_prompt
from elman.text.offsets import token_offsets
from elman.text.token_writer import TokenWriter
from elman.text_model import TextModel

NONE = np.zeros(0, np.intp)


async def score(request: Request) -> Response:
    """Return the surprisal of every token of one or more texts."""
    server, size = server_of(request), AnswerSize(request)

    def prepare(body: ScoreRequest) -> tuple[ScoreRequest, ServedModel, list[str], list[ScoreTask]]:
        model = server.models[body.model]
        texts = [body.text] if isinstance(body.text, str) else body.text
        _check_count(texts, "text", server)
        top = min(body.top, len(model.text_model.vocabulary))
        tasks = []
        for text in texts:
            tasks.append(ScoreTask(_encode(model, text, body.eos, "text", server), top))
            size.add("text", len(tasks[-1].ids), top)
        return body, model, texts, tasks

    body, model, texts, tasks = await read_request(request, ScoreRequest, prepare)
    channel = Channel(server.deliveries)
    jobs = [Job([], [task], channel, from_nothing=not body.bos) for task in tasks]
    _count_tokens(server, model, [task.ids for task in tasks])
    await finish_jobs(request, model, jobs, channel)

    def answer() -> dict[str, Any]:
        scored = zip(texts, tasks, strict=True)
        results = [_scores_json(model.text_model, text, task.tokens, body.eos) for text, task in scored]
        return {"model": model.name, "unit": model.text_model.unit, "results": results}

    return await json_answer(server, size.entries, answer)


async def next_tokens(request: Request) -> Response:
    """Return the most probable next tokens."""
    server, size = server_of(request), AnswerSize(request)

    def prepare(body: NextRequest) -> tuple[NextRequest, ServedModel, Prompt]:
        model = server.models[body.model]
        prompt = make_prompt(model.text_model, body.prompt, "prompt", server.limits)
        size.add("prompt", len(prompt.ids))
        size.add("top", 1, min(body.top, len(model.text_model.vocabulary)))
        return body, model, prompt

    body, model, prompt = await read_request(request, NextRequest, prepare)
    task, channel = NextTask(), Channel(server.deliveries)
    _count_tokens(server, model, [prompt.ids])
    await finish_jobs(request, model, [Job(prompt.context, [task], channel)], channel)
    log_probs = task.log_probs
    assert log_probs is not None
    sampler = Sampler(body.temperature, body.top_k, body.top_p)
    head = {"model": model.name, "unit": model.text_model.unit, "prompt_tokens": len(prompt.ids)}
    return await json_answer(
        server, body.top, lambda: head | _next_json(prompt, log_probs, sampler, body.top)
    )


async def rescore(request: Request) -> Response:
    """Return candidates in the order of their probabilities, the most probable first."""
    server, size = server_of(request), AnswerSize(request)

    def prepare(body: RescoreRequest) -> tuple[RescoreRequest, ServedModel, Prompt, list[RescoreTask]]:
        model = server.models[body.model]
        _check_count(body.candidates, "candidates", server)
        tasks = []
        for text in body.candidates:
            tasks.append(RescoreTask(_encode(model, text, body.eos, "candidates", server)))
            size.add("candidates", len(tasks[-1].ids))
        context = make_prompt(model.text_model, body.context, "context", server.limits)
        size.add("context", len(context.ids))
        return body, model, context, tasks

    body, model, context, tasks = await read_request(request, RescoreRequest, prepare)
    channel = Channel(server.deliveries)
    _count_tokens(server, model, [context.ids, *(task.ids for task in tasks)])
    await finish_jobs(request, model, [Job(context.context, tasks, channel)], channel)

    def answer() -> dict[str, Any]:
        candidates = [
            _rescored_json(index, text, task, model.text_model)
            for index, (text, task) in enumerate(zip(body.candidates, tasks, strict=True))
        ]
        candidates.sort(key=lambda each: -each["ln_prob"])
        return {"model": model.name, "unit": model.text_model.unit, "candidates": candidates}

    return await json_answer(server, size.entries, answer)


def _check_count(texts: list[str], param: str, server: Server) -> None:
    if len(texts) > server.limits.prompts:
        message = f"{param} has {len(texts):,} texts, the limit of this server is {server.limits.prompts:,}"
        raise RequestRefused(message, param, "limit_exceeded")


def _encode(model: ServedModel, text: str, eos: bool, param: str, server: Server) -> list[int]:
    """Return the ids of a text; -1 for a token that the vocabulary lacks."""
    text_model, limit = model.text_model, server.limits.prompt_tokens
    check_characters(text_model, text, param, limit)
    _, ids = text_model.encode_line(text) if eos else text_model.encode(text)
    if len(ids) > limit:
        message = f"{param} has {len(ids):,} tokens, the limit of this server is {limit:,}; shorten it"
        raise RequestRefused(message, param, "context_length_exceeded")
    found: list[int] = ids.tolist()
    return found


def _count_tokens(server: Server, model: ServedModel, texts: Sequence[Sequence[int]]) -> None:
    server.metrics.prompt_tokens.labels(model.name).inc(sum(map(len, texts)))


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token of a text: ln P, its rank (1: the most probable), the entropy before it, and the best alternatives.

    ``top`` are their ids and ``top_ln_probs`` their ln P, in arrays, which take less memory than lists. A token that
    the vocabulary lacks (id -1) has probability 0 and rank 0.
    """

    id: int
    ln_prob: float
    rank: int
    entropy_bits: float
    top: NDArray[np.intp]
    top_ln_probs: NDArray[np.floating[Any]]


class ScoreTask:
    """Scores ids token by token. An id of -1, a token that the vocabulary lacks, is scored but not read."""

    sampler = None

    def __init__(self, ids: Sequence[int], top: int = 0) -> None:
        self.tokens: list[ScoredToken] = []
        self.ids, self._top = ids, top

    @property
    def needs_distribution(self) -> bool:
        """Whether there is a token to score."""
        return len(self.tokens) < len(self.ids)

    def next(self, log_probs: LogProbs | None) -> int | None:
        """Return the id to read next; None at the end."""
        while log_probs is not None and len(self.tokens) < len(self.ids):
            id_ = self.ids[len(self.tokens)]
            self.tokens.append(self._score(id_, log_probs))
            if id_ >= 0:
                return id_ if len(self.tokens) < len(self.ids) else None
        return None

    def _score(self, id_: int, log_probs: LogProbs) -> ScoredToken:
        ln_prob = float(log_probs[id_]) if id_ >= 0 else -math.inf
        rank = 1 + int((log_probs > log_probs[id_]).sum()) if id_ >= 0 else 0
        best = most_probable(log_probs, self._top) if self._top else NONE
        return ScoredToken(id_, ln_prob, rank, entropy_bits(log_probs), best, log_probs[best])


class RescoreTask:
    """Sums ln P of ids. With an id of -1, a token that the vocabulary lacks, the text has probability 0."""

    sampler = None

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids, self.ln_prob = ids, -math.inf if -1 in ids else 0.0
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

    sampler = None

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
        alternatives = zip(token.top.tolist(), token.top_ln_probs.tolist(), strict=True)
        entry = {
            "token": writer.name(token.id) if token.id >= 0 else text[start:end],
            "id": token.id,
            "start": start,
            "end": end,
            "surprisal_bits": 0.0 - token.ln_prob / math.log(2),
            "rank": token.rank,
            "unknown": token.id == text_model.vocabulary.unknown_id,
            "entropy_bits": token.entropy_bits,
            "top": [
                {"token": writer.name(id_), "id": id_, "probability": math.exp(ln_prob)}
                for id_, ln_prob in alternatives
            ],
        }
        found.append(msgspec.json.encode(entry))  # at once: as objects, an answer takes ten times the memory
        if token.id >= 0:
            writer.push(token.id)
    ln_prob = sum(token.ln_prob for token in tokens)
    listed = msgspec.Raw(b"[" + b",".join(found) + b"]")
    return {"text": text, **_text_score(ln_prob, len(tokens)), "tokens": listed}


def _rescored_json(index: int, text: str, task: RescoreTask, text_model: TextModel) -> dict[str, Any]:
    unknown = task.ids.count(text_model.vocabulary.unknown_id)
    return {"index": index, "text": text, **_text_score(task.ln_prob, len(task.ids)), "unknown": unknown}


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
