"""One completion as the engine makes it: score the tokens of an echoed prompt, then draw new ones.

The next token is drawn after logit biases and penalties, then temperature, top-k and top-p. Finished text and
tokens are emitted as chunks. Text that may be the beginning of a stop string is held back until that is decided.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.evaluation.surprisal import most_probable
from elman.models.base import LogProbs
from elman.serving.stops import StopScanner
from elman.serving.validation import CompletionOptions, Prompt
from elman.text.token_writer import TokenWriter

LOG_ZERO = -9999.0  # for ln 0, which JSON lacks
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Token:
    """A token of an answer: its name, ln P, the most probable alternatives, and its first character in the text.

    Without a context ``logprob`` is None; ``top`` is None there and where no alternatives were requested.
    """

    name: str
    logprob: float | None
    top: dict[str, float] | None
    offset: int


@dataclass(frozen=True)
class Chunk:
    """The next part of a choice: its text, the tokens that begin in it and, in the last, the finish reason."""

    index: int
    text: str
    tokens: Sequence[Token] = ()
    finish_reason: FinishReason | None = None


def as_logprobs(tokens: Sequence[Token]) -> dict[str, Any]:
    """Return tokens as the ``logprobs`` of a choice."""
    return {
        "tokens": [token.name for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [token.top for token in tokens],
        "text_offset": [token.offset for token in tokens],
    }


class Continuation:
    """Makes one choice, number ``index``, as the ``attempt``-th completion of a prompt; emits it in chunks.

    A `SequenceTask`. It follows the prompt's ``unscored`` part if the prompt is scored here, else its ``context``.
    """

    def __init__(
        self,
        index: int,
        prompt: Prompt,
        options: CompletionOptions,
        attempt: int,
        emit: Callable[[Chunk], None],
    ) -> None:
        self.index, self.drawn, self.logprob = index, 0, 0.0
        self._sampler = TokenSampler(options, attempt)
        self._max_tokens, self._emit, self._top = options.max_tokens, emit, options.logprobs
        self._echo = EchoedPrompt(prompt, options.logprobs) if options.echo else None
        self._writer, self._stops = prompt.writer(), StopScanner(options.stop)
        self._written = self._emitted = len(prompt.text) if options.echo else 0  # characters
        self._tokens: deque[Token] = deque()  # not emitted yet

    @property
    def needs_distribution(self) -> bool:
        """Whether a token is to be scored or drawn next."""
        scoring = self._echo is not None and self._echo.next_id is not None
        return scoring or self.drawn < self._max_tokens

    @property
    def sampler(self) -> "TokenSampler | None":
        """What draws the next token; None while the prompt is scored, and at the end."""
        scoring = self._echo is not None and self._echo.next_id is not None
        return None if scoring or self.drawn == self._max_tokens else self._sampler

    @property
    def mean_logprob(self) -> float:
        """The mean of ln P over the drawn tokens."""
        return self.logprob / max(1, self.drawn)

    def next(self, log_probs: LogProbs | None) -> int | None:
        """Return the id to read next; None at the end."""
        if self._echo is not None:
            if self._echo.next_id is not None:
                return self._echo.score(log_probs)
            self._emit(Chunk(self.index, self._echo.text, self._echo.tokens))
            self._echo = None
        id_ = None
        if self.drawn < self._max_tokens:
            assert log_probs is not None
            id_ = self._sampler.draw(log_probs)
            self._write(id_, log_probs)
        if self._stops.found:
            self._emit(Chunk(self.index, "", [], "stop"))  # tokens from the stop string on are dropped
            return None
        if self.drawn == self._max_tokens:
            rest = self._stops.push(self._writer.finish()) + self._stops.finish()
            self._emit(Chunk(self.index, rest, list(self._tokens), "length"))
            return None
        return id_

    def _write(self, id_: int, log_probs: LogProbs) -> None:
        self.drawn += 1
        self.logprob += float(log_probs[id_])
        if self._top is not None:
            place = self._written + self._writer.held_before(id_)
            self._tokens.append(make_token(log_probs, id_, self._writer, place, self._top))
        _, text = self._writer.push(id_)
        self._written += len(text)
        if ready := self._stops.push(text):
            self._emitted += len(ready)
            begun = []
            while self._tokens and self._tokens[0].offset < self._emitted:
                begun.append(self._tokens.popleft())
            self._emit(Chunk(self.index, ready, begun))


class TokenSampler:
    """Draws the tokens of one completion, with a random generator of its own. A `SequenceSampler`.

    ``logit_bias`` is added to ln P. A token that this completion contains c > 0 times (the prompt does not count)
    loses ``presence_penalty`` + c·``frequency_penalty``. The same seed and attempt draw the same tokens.
    """

    def __init__(self, options: CompletionOptions, attempt: int) -> None:
        seed = None if options.seed is None else options.seed % 2**64
        self.rng = np.random.default_rng([seed, attempt] if seed is not None and attempt else seed)
        self.sampler = options.sampler
        self.drawn: int | None = None
        self._biased, self._biases = list(options.logit_bias), list(options.logit_bias.values())
        self._penalties = Penalties(options.presence_penalty, options.frequency_penalty)

    def draw(self, log_probs: LogProbs) -> int:
        """Return an id, given ln P (V,): the one that was drawn already, if there is one."""
        id_ = self.sampler.draw(self.adjusted(log_probs), self.rng) if self.drawn is None else self.drawn
        self.drawn = None
        self._penalties.add(id_)
        return id_

    def adjusted(self, log_probs: LogProbs) -> LogProbs:
        """Return ln P (V,) with biases and penalties."""
        if not (self._biased or self._penalties.some):
            return log_probs
        scores = log_probs.astype(np.float64)
        if self._biased:
            scores[self._biased] += self._biases
        self._penalties.subtract_from(scores)
        return scores


class Penalties:
    """What tokens lose because they were drawn; kept in arrays, since every token that is drawn needs all of them."""

    def __init__(self, presence: float, frequency: float) -> None:
        self._presence, self._frequency = presence, frequency
        self._places: dict[int, int] = {}  # of ids in the arrays
        self._ids, self._counts = np.zeros(16, np.intp), np.zeros(16, np.intp)

    @property
    def some(self) -> bool:
        """Whether any token loses anything."""
        return bool(self._places)

    def add(self, id_: int) -> None:
        """Count a token that was drawn."""
        if not (self._presence or self._frequency):
            return
        place = self._places.setdefault(id_, len(self._places))
        if place == len(self._ids):
            self._ids, self._counts = np.resize(self._ids, 2 * place), np.resize(self._counts, 2 * place)
            self._counts[place:] = 0
        self._ids[place] = id_
        self._counts[place] += 1

    def subtract_from(self, scores: NDArray[np.float64]) -> None:
        """Subtract the penalties from scores (V,)."""
        count = len(self._places)
        scores[self._ids[:count]] -= self._presence + self._frequency * self._counts[:count]


class EchoedPrompt:
    """The text and tokens of a prompt. The tokens are scored only if ``top`` is given; the first has no context."""

    def __init__(self, prompt: Prompt, top: int | None) -> None:
        self.text = prompt.text
        self.tokens: list[Token] = []
        self._top = top or 0
        self._writer = TokenWriter(prompt.text_model.tokenizer, prompt.text_model.vocabulary)
        ids, offsets = (prompt.ids, prompt.offsets) if top is not None else ([], [])
        self._offsets, self._unscored = iter(offsets), iter(ids[1:])
        if ids:
            self.tokens.append(Token(self._writer.push(ids[0])[0], None, None, next(self._offsets)))
        self.next_id = next(self._unscored, None)

    def score(self, log_probs: LogProbs | None) -> int:
        """Record the probability of ``next_id`` and return that id."""
        id_ = self.next_id
        assert id_ is not None
        assert log_probs is not None
        self.tokens.append(make_token(log_probs, id_, self._writer, next(self._offsets), self._top))
        self._writer.push(id_)
        self.next_id = next(self._unscored, None)
        return id_


def make_token(log_probs: LogProbs, id_: int, writer: TokenWriter, offset: int, top: int) -> Token:
    """Return the token that ``writer`` is to write next. Its alternatives are the ``top`` best ones and itself."""
    name, logprob = writer.name(id_), _finite(log_probs[id_])
    if not top:
        return Token(name, logprob, None, offset)
    alternatives: dict[str, float] = {}
    for other in [*most_probable(log_probs, top).tolist(), id_]:
        alternatives.setdefault(writer.name(other), _finite(log_probs[other]))
    return Token(name, logprob, alternatives, offset)


def _finite(logprob: Any) -> float:
    return max(float(logprob), LOG_ZERO)
