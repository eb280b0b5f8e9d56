"""Texts that are scored, token by token, and what may come next.

POST /score, /next and /rescore: surprisals, what comes next, and which candidate is the most natural.
"""

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
from elman.serving.bodies import body_of, json_answer
from elman.serving.prompts import Prompt, Writer, prompt_of
from elman.serving.schemas import NextRequest, RequestRefused, RescoreRequest, ScoreRequest
from elman.serving.sequences import Channel, Job
from elman.serving.state import Served, Server, server_of
from elman.serving.streams import done
from elman.text.offsets import token_offsets
from elman.text_model import TextModel


@dataclass(frozen=True)
class Scored:
    """A token of a text: ln P, its rank (1: the most probable), the entropy before it, and the most probable ones.

    A token that the vocabulary lacks has probability 0 and no rank (0).
    """

    id: int
    ln_prob: float
    rank: int
    entropy_bits: float
    top: list[tuple[int, float]]


class Scoring:
    """Scores ids; -1 stands for a token that the vocabulary lacks, which is not read."""

    def __init__(self, ids: Sequence[int], top: int = 0) -> None:
        self.tokens: list[Scored] = []
        self._ids, self._top = ids, top

    @property
    def needs_distribution(self) -> bool:
        """Whether there is a token to score."""
        return len(self.tokens) < len(self._ids)

    def next(self, log_probs: LogProbs | None) -> int | None:
        """Return the id to be read next; None at the end."""
        while log_probs is not None and len(self.tokens) < len(self._ids):
            id_ = self._ids[len(self.tokens)]
            self.tokens.append(self._scored(id_, log_probs))
            if id_ >= 0:
                return id_ if len(self.tokens) < len(self._ids) else None
        return None

    def _scored(self, id_: int, log_probs: LogProbs) -> Scored:
        ln_prob = float(log_probs[id_]) if id_ >= 0 else -math.inf
        rank = 1 + int((log_probs > log_probs[id_]).sum()) if id_ >= 0 else 0
        best = most_probable(log_probs, self._top).tolist()
        return Scored(
            id_, ln_prob, rank, entropy_bits(log_probs), [(other, float(log_probs[other])) for other in best]
        )


class Rescoring:
    """Adds up ln P of ids; -1 stands for a token that the vocabulary lacks: the text then has probability 0."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ln_prob = -math.inf if -1 in ids else 0.0
        self._ids: Sequence[int] = [] if -1 in ids else ids
        self._done = 0

    @property
    def needs_distribution(self) -> bool:
        """Whether there is a token to score."""
        return self._done < len(self._ids)

    def next(self, log_probs: LogProbs | None) -> int | None:
        """Return the id to be read next; None at the end."""
        if log_probs is None or not self.needs_distribution:
            return None
        id_ = self._ids[self._done]
        self.ln_prob += float(log_probs[id_])
        self._done += 1
        return id_ if self.needs_distribution else None


class Looking:
    """Takes note of what may come next."""

    def __init__(self) -> None:
        self.log_probs: NDArray[np.float64] | None = None

    @property
    def needs_distribution(self) -> bool:
        """Always."""
        return True

    def next(self, log_probs: LogProbs | None) -> None:
        """Keep the distribution; nothing is read after it."""
        if log_probs is not None:
            self.log_probs = np.array(log_probs, np.float64)


async def score(request: Request) -> Response:
    """Answer with the surprisal of every token of texts."""
    asked = await body_of(request, ScoreRequest)
    server = server_of(request)
    served = server.models[asked.model]
    texts = [asked.text] if isinstance(asked.text, str) else asked.text
    _check_number(texts, "text", server)
    coded = [_encoded(served, text, asked.eos, "text", server) for text in texts]
    works = [Scoring(ids, asked.top) for ids in coded]
    channel = Channel()
    jobs = [Job([], [work], channel, from_nothing=not asked.bos) for work in works]
    _count(server, served, coded)
    await done(request, served, jobs, channel)
    results = [
        _as_scores(served.text_model, text, work.tokens, asked.eos)
        for text, work in zip(texts, works, strict=True)
    ]
    return json_answer({"model": served.name, "unit": served.text_model.unit, "results": results})


async def next_tokens(request: Request) -> Response:
    """Answer with the most probable next tokens."""
    asked = await body_of(request, NextRequest)
    server = server_of(request)
    served = server.models[asked.model]
    text_model = served.text_model
    prompt = prompt_of(text_model, asked.prompt, "prompt", server.limits.prompt_tokens)
    work, channel = Looking(), Channel()
    _count(server, served, [prompt.ids])
    await done(request, served, [Job(prompt.to_read, [work], channel)], channel)
    assert work.log_probs is not None
    sampler = Sampler(asked.temperature, asked.top_k, asked.top_p)
    answer = {"model": served.name, "unit": text_model.unit, "prompt_tokens": len(prompt.ids)}
    return json_answer(answer | _as_candidates(text_model, prompt, work.log_probs, sampler, asked.top))


async def rescore(request: Request) -> Response:
    """Answer with the candidates in the order of their probabilities, the most natural first."""
    asked = await body_of(request, RescoreRequest)
    server = server_of(request)
    served = server.models[asked.model]
    _check_number(asked.candidates, "candidates", server)
    coded = [_encoded(served, text, asked.eos, "candidates", server) for text in asked.candidates]
    context = prompt_of(served.text_model, asked.context, "context", server.limits.prompt_tokens)
    works = [Rescoring(ids) for ids in coded]
    channel = Channel()
    _count(server, served, [context.ids, *coded])
    await done(request, served, [Job(context.to_read, works, channel)], channel)
    found = [
        _as_candidate(index, text, ids, work.ln_prob, served.text_model)
        for index, (text, ids, work) in enumerate(zip(asked.candidates, coded, works, strict=True))
    ]
    found.sort(key=lambda each: -each["ln_prob"])
    return json_answer({"model": served.name, "unit": served.text_model.unit, "candidates": found})


def _check_number(texts: list[str], param: str, server: Server) -> None:
    if len(texts) > server.limits.prompts:
        raise RequestRefused(
            f"{param} holds {len(texts):,} texts, this server takes {server.limits.prompts:,} at a time",
            param,
            "limit_exceeded",
        )


def _encoded(served: Served, text: str, eos: bool, param: str, server: Server) -> list[int]:
    """Return the ids of a text, -1 where the vocabulary lacks a token."""
    text_model, most = served.text_model, server.limits.prompt_tokens
    _, ids = text_model.encode_line(text) if eos else text_model.encode(text)
    if len(ids) > most:
        message = f"{param} has {len(ids):,} tokens, this server scores {most:,} at most; send less at a time"
        raise RequestRefused(message, param, "context_length_exceeded")
    found: list[int] = ids.tolist()
    return found


def _count(server: Server, served: Served, texts: list[list[int]]) -> None:
    server.metrics.prompt_tokens.labels(served.name).inc(sum(map(len, texts)))


def _as_scores(text_model: TextModel, text: str, tokens: list[Scored], eos: bool) -> dict[str, Any]:
    """Return a text's tokens as JSON takes them; a token stands in the text at ``start`` to ``end``."""
    given = text + "\n" if eos else text
    places = np.minimum(token_offsets(text_model.tokenizer, given)[: len(tokens)], len(text)).tolist()
    writer = Writer(text_model)
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
                "top": [_candidate(writer, id_, ln_prob) for id_, ln_prob in token.top],
            }
        )
        if token.id >= 0:
            writer.push(token.id)
    ln_prob = sum(token.ln_prob for token in tokens)
    return {"text": text, **_sums(ln_prob, len(tokens)), "tokens": found}


def _sums(ln_prob: float, tokens: int) -> dict[str, Any]:
    mean = -ln_prob / tokens if tokens else math.nan
    return {
        "ln_prob": ln_prob,
        "log10_prob": ln_prob / math.log(10),
        "perplexity": math.exp(mean) if mean < 700 else math.inf,
        "token_count": tokens,
    }


def _candidate(writer: Writer, id_: int, ln_prob: float) -> dict[str, Any]:
    return {"token": writer.name(id_), "id": id_, "probability": math.exp(ln_prob)}


def _as_candidates(
    text_model: TextModel, prompt: Prompt, log_probs: Any, sampler: Sampler, top: int
) -> dict[str, Any]:
    """Return the most probable tokens: ``probability`` as the sampler has it, ``ln_prob`` as the model has it."""
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


def _as_candidate(
    index: int, text: str, ids: list[int], ln_prob: float, text_model: TextModel
) -> dict[str, Any]:
    unknown = ids.count(text_model.vocabulary.unknown_id)
    return {"index": index, "text": text, **_sums(ln_prob, len(ids)), "unknown": unknown}
