"""Check completion requests and prompts against the model's vocabulary and the server's limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from elman.generation import Sampler
from elman.serving.admission import AnswerSize
from elman.serving.schemas import CompletionRequest, Limits, RequestRefused
from elman.serving.sequences import CHANNEL_ITEMS
from elman.serving.stops import StopStrings
from elman.text.offsets import token_offsets
from elman.text.token_writer import TokenWriter
from elman.text_model import TextModel

DEFAULT_MAX_TOKENS = 16  # as in the OpenAI API
COMPOSED = 4  # characters that become one token at most, of a model of characters: NFC composes no more
WRITER_TOKENS = 16  # how a text continues depends on no more than so many of its last tokens


@dataclass(frozen=True)
class Prompt:
    """A prompt: its ids, and its text as given or, with ``from_ids``, as decoded from the given ids."""

    text_model: TextModel
    ids: list[int]
    text: str
    from_ids: bool = False

    @property
    def context(self) -> list[int]:
        """The ids to read from the model's start state, which has read the start token already."""
        return self.ids[1:] if self._has_start else self.ids

    @property
    def unscored(self) -> list[int]:
        """The part of ``context`` without a probability: the first token, unless it follows the start token."""
        return [] if self._has_start else self.ids[:1]

    @property
    def _has_start(self) -> bool:
        return bool(self.ids) and self.ids[0] == self.text_model.start_id

    @cached_property
    def offsets(self) -> list[int]:
        """The first character of each token in the text."""
        if not self.from_ids:
            offsets: list[int] = token_offsets(self.text_model.tokenizer, self.text)[:, 0].tolist()
            return offsets
        writer, length, places = TokenWriter(self.text_model.tokenizer, self.text_model.vocabulary), 0, []
        for id_ in self.ids:
            places.append(length + writer.held_before(id_))
            length += len(writer.push(id_)[1])
        return places

    def writer(self) -> TokenWriter:
        """Return a writer that continues from the end of the prompt."""
        writer = TokenWriter(self.text_model.tokenizer, self.text_model.vocabulary)
        level, ends_in_space = self.text_model.tokenizer.level, self.text[-1:].isspace()
        # the text of a prompt ends with all its letters, and with the space that separates its last word from the next
        is_written = level == "jamo" or (level == "word" and ends_in_space and not self.from_ids)
        if not is_written:
            for id_ in self.ids[-WRITER_TOKENS:]:
                writer.push(id_)
        return writer


@dataclass(frozen=True)
class CompletionOptions:
    """A valid completion request: of ``best_of`` completions of each prompt, the best ``n`` are the answer."""

    prompts: list[Prompt]
    n: int
    best_of: int
    max_tokens: int
    echo: bool
    logprobs: int | None
    stop: StopStrings
    sampler: Sampler
    logit_bias: Mapping[int, float]
    presence_penalty: float
    frequency_penalty: float
    seed: int | None

    @property
    def scores_prompts(self) -> bool:
        """Whether the answer contains the probabilities of the prompts' tokens."""
        return self.echo and self.logprobs is not None


def validate_completion(
    request: CompletionRequest, text_model: TextModel, limits: Limits, size: AnswerSize
) -> CompletionOptions:
    """Return the options of a request, with defaults; count its answer. Raises RequestRefused, naming the field."""
    _check_fields(request, limits)
    n = request.n or 1
    best_of = request.best_of or n
    max_tokens = DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens
    top = request.logprobs or 0
    given = _given_prompts(request.prompt, limits)
    if len(given) * best_of > limits.waiting:
        raise _over_limit("n", len(given) * best_of, limits.waiting, "completions per request")
    held = CHANNEL_ITEMS if request.stream else None
    size.add("max_tokens", len(given) * best_of * max_tokens, top, held)
    prompts = []
    for each in given:
        prompts.append(make_prompt(text_model, each, "prompt", limits))
        size.add(
            "prompt", len(prompts[-1].ids) * (best_of if request.echo else 1), top if request.echo else 0
        )
    unk = text_model.vocabulary.unk_id
    sampler = Sampler(
        1.0 if request.temperature is None else request.temperature,
        request.top_k or 0,
        1.0 if request.top_p is None else request.top_p,
        exclude=() if unk is None or len(text_model.vocabulary) == 1 else (unk,),
    )
    stop = request.stop or []
    return CompletionOptions(
        prompts,
        n,
        best_of,
        max_tokens,
        bool(request.echo),
        request.logprobs,
        StopStrings([stop] if isinstance(stop, str) else [each for each in stop if each]),
        sampler,
        _logit_bias(request.logit_bias or {}, text_model),
        request.presence_penalty or 0.0,
        request.frequency_penalty or 0.0,
        request.seed,
    )


def _check_fields(request: CompletionRequest, limits: Limits) -> None:
    if request.suffix is not None:
        message = "suffix is not supported: these models write from left to right"
        raise RequestRefused(message, "suffix", "unsupported_parameter")
    if request.stream_options is not None and not request.stream:
        raise RequestRefused("stream_options applies only to stream=true", "stream_options")
    for name in ("n", "best_of"):
        if (count := getattr(request, name) or 1) > limits.choices:
            raise _over_limit(name, count, limits.choices, "completions per prompt")
    if request.best_of is not None and request.best_of < (request.n or 1):
        raise RequestRefused(
            f"best_of must be ≥ n, got best_of={request.best_of} and n={request.n}", "best_of"
        )
    if request.stream and (request.best_of or 1) > (request.n or 1):
        message = "best_of > n cannot be streamed: the best completions are known only at their end"
        raise RequestRefused(message, "best_of", "unsupported_parameter")
    if (request.max_tokens or 0) > limits.max_tokens:
        raise _over_limit("max_tokens", request.max_tokens or 0, limits.max_tokens, "tokens per completion")


def _over_limit(param: str, requested: int, limit: int, unit: str) -> RequestRefused:
    message = f"{param} requests {requested:,} {unit}, the limit of this server is {limit:,}"
    return RequestRefused(message, param, "limit_exceeded")


def _given_prompts(given: Any, limits: Limits) -> list[str | list[int]]:
    """Return the prompts of a string, a list of strings, a list of ids, or a list of lists of ids."""
    if given is None:
        given = ""
    if given == []:
        message = "prompt is an empty list; to start from the beginning of a text, send an empty string"
        raise RequestRefused(message, "prompt")
    several = isinstance(given, list) and not isinstance(given[0], int)
    items = given if several else [given]
    if len(items) > limits.prompts:
        raise _over_limit("prompt", len(items), limits.prompts, "prompts")
    of_ids = not isinstance(items[0], str)
    for item in items:
        is_ids = isinstance(item, list) and all(isinstance(id_, int) for id_ in item)
        if not (is_ids if of_ids else isinstance(item, str)):
            message = "prompt must be a string, a list of strings, a list of ids, or a list of lists of ids"
            raise RequestRefused(message, "prompt", "invalid_value")
    return items


def make_prompt(text_model: TextModel, given: str | Sequence[int], param: str, limits: Limits) -> Prompt:
    """Return a prompt of text or ids. Raises RequestRefused for too many tokens, or unknown ones."""
    if not isinstance(given, str):
        _check_length(len(given), param, limits)
        return Prompt(text_model, list(given), decode_ids(text_model, given, param), from_ids=True)
    check_characters(text_model, given, param, limits.prompt_tokens)
    tokens, ids = text_model.encode(given)
    _check_length(len(tokens), param, limits)
    unknown = [token for token, id_ in zip(tokens, ids.tolist(), strict=True) if id_ < 0]
    if unknown:
        examples = ", ".join(repr(token) for token in list(dict.fromkeys(unknown))[:5])
        raise RequestRefused(
            f"the model has no unknown-word token and its vocabulary lacks {examples}; leave these words out, or "
            "serve a model trained with min_count=2 or max_vocab",
            param,
            "unknown_token",
        )
    return Prompt(text_model, ids.tolist(), given)


def _check_length(length: int, param: str, limits: Limits) -> None:
    if length > limits.prompt_tokens:
        raise RequestRefused(
            f"the prompt has {length:,} tokens, the limit of this server is {limits.prompt_tokens:,}; shorten it",
            param,
            "context_length_exceeded",
        )


def check_characters(text_model: TextModel, text: str, param: str, limit: int) -> None:
    """Refuse, before it is encoded, a text that is certain to have more tokens than ``limit``."""
    if text_model.tokenizer.level in ("byte", "char", "jamo") and (least := len(text) // COMPOSED) > limit:
        message = f"{param} has {least:,} tokens or more, the limit of this server is {limit:,}; shorten it"
        raise RequestRefused(message, param, "context_length_exceeded")


def decode_ids(text_model: TextModel, ids: Sequence[int], param: str) -> str:
    """Return the text of ids. Raises RequestRefused for an id outside the vocabulary."""
    size = len(text_model.vocabulary)
    wrong = next((id_ for id_ in ids if not 0 <= id_ < size), None)
    if wrong is not None:
        raise RequestRefused(f"{param}: ids must be 0 to {size - 1}, got {wrong}", param)
    return text_model.tokenizer.join(text_model.vocabulary.decode(ids))


def _logit_bias(given: Mapping[str, float], text_model: TextModel) -> dict[int, float]:
    size = len(text_model.vocabulary)
    for key in given:
        if not (key.isascii() and key.isdecimal() and len(key) < 12 and int(key) < size):
            raise RequestRefused(f"logit_bias: ids must be 0 to {size - 1}, got {key!r}", "logit_bias")
    return {int(key): bias for key, bias in given.items()}
