"""Check completion requests against the model and the limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.generation import Sampler
from elman.serving.continuation import Chooser
from elman.serving.prompts import Prompt, prompt_of
from elman.serving.schemas import CompletionRequest, RequestRefused
from elman.serving.state import Limits
from elman.text_model import TextModel

MAX_TOKENS = 16  # where a request does not say


@dataclass(frozen=True)
class Plan:
    """``tries`` completions of each prompt are made, of which the best ``choices`` are the answer."""

    prompts: list[Prompt]
    choices: int
    tries: int
    max_tokens: int
    echo: bool
    top: int | None
    stops: list[str]
    sampler: Sampler
    bias: Mapping[int, float]
    presence: float
    frequency: float
    seed: int | None

    @property
    def scores_prompts(self) -> bool:
        """Whether the probabilities of the prompts' tokens are told."""
        return self.echo and self.top is not None

    def chooser(self, k: int) -> Chooser:
        """Return what draws the k-th completion of a prompt: with a seed, always the same."""
        seed = None if self.seed is None else [self.seed % 2**64, k] if k else self.seed % 2**64
        rng = np.random.default_rng(seed)
        return Chooser(self.sampler, rng, self.bias, self.presence, self.frequency)


def plan_of(asked: CompletionRequest, text_model: TextModel, limits: Limits) -> Plan:
    """Return what is asked for. Raises RequestRefused, naming the field, for what this server does not do."""
    _check_fields(asked, limits)
    choices = asked.n or 1
    tries = asked.best_of or choices
    prompts = _prompts(asked.prompt, text_model, limits)
    if len(prompts) * tries > limits.waiting:
        raise _beyond("n", len(prompts) * tries, limits.waiting, "completions of one request")
    unk = text_model.vocabulary.unk_id
    return Plan(
        prompts,
        choices,
        tries,
        MAX_TOKENS if asked.max_tokens is None else asked.max_tokens,
        bool(asked.echo),
        asked.logprobs,
        [asked.stop] if isinstance(asked.stop, str) else [stop for stop in asked.stop or [] if stop],
        Sampler(
            _or(asked.temperature, 1.0),
            asked.top_k or 0,
            _or(asked.top_p, 1.0),
            () if unk is None or len(text_model.vocabulary) == 1 else (unk,),
        ),
        _bias(asked.logit_bias or {}, text_model),
        asked.presence_penalty or 0.0,
        asked.frequency_penalty or 0.0,
        asked.seed,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _check_fields(asked: CompletionRequest, limits: Limits) -> None:
    if asked.suffix is not None:
        message = "these models write from left to right: they cannot fit a completion to a suffix"
        raise RequestRefused(message, "suffix", "unsupported_parameter")
    if asked.stream_options is not None and not asked.stream:
        raise RequestRefused("stream_options is for streams; add stream=true", "stream_options")
    for name in ("n", "best_of"):
        if (count := getattr(asked, name) or 1) > limits.choices:
            raise _beyond(name, count, limits.choices, "completions of one prompt")
    if asked.best_of is not None and asked.best_of < (asked.n or 1):
        raise RequestRefused(f"best_of must be n or more, got {asked.best_of} and {asked.n}", "best_of")
    if asked.stream and (asked.best_of or 1) > (asked.n or 1):
        message = "which completion is the best is not known before its end: no stream with best_of above n"
        raise RequestRefused(message, "best_of", "unsupported_parameter")
    if (asked.max_tokens or 0) > limits.max_tokens:
        raise _beyond("max_tokens", asked.max_tokens or 0, limits.max_tokens, "tokens of a completion")


def _beyond(param: str, asked: int, most: int, what: str) -> RequestRefused:
    message = f"{param} asks for {asked:,} {what}, this server makes {most:,} at most"
    return RequestRefused(message, param, "limit_exceeded")


def _prompts(given: Any, text_model: TextModel, limits: Limits) -> list[Prompt]:
    """Return the prompts of a string, a list of strings, ids, or a list of lists of ids."""
    if given is None:
        given = ""
    if given == []:
        raise RequestRefused(
            "prompt is an empty list; for the beginning of a text send an empty string", "prompt"
        )
    several = isinstance(given, list) and not isinstance(given[0], int)
    items = given if several else [given]
    if len(items) > limits.prompts:
        raise _beyond("prompt", len(items), limits.prompts, "prompts")
    of_ids = not isinstance(items[0], str)
    for item in items:
        whole = isinstance(item, list) and all(isinstance(id_, int) for id_ in item)
        if not (whole if of_ids else isinstance(item, str)):
            message = "prompt must be a string, a list of strings, a list of ids, or a list of lists of ids"
            raise RequestRefused(message, "prompt", "invalid_value")
    return [prompt_of(text_model, item, "prompt", limits.prompt_tokens) for item in items]


def _bias(given: Mapping[str, float], text_model: TextModel) -> dict[int, float]:
    size = len(text_model.vocabulary)
    for key in given:
        if not (key.isascii() and key.isdecimal() and len(key) < 12 and int(key) < size):
            raise RequestRefused(
                f"logit_bias names {key!r}, which is no id of the vocabulary: they are 0 to {size - 1}",
                "logit_bias",
            )
    return {int(key): bias for key, bias in given.items()}
