"""A completion as an engine makes it: the tokens of an echoed prompt are scored, then others are drawn.

How the tokens of a completion are chosen: biases and penalties, then temperature, top-k and top-p.

Stop strings: where a text that comes in pieces ends.

What a completion is made of: pieces of text, and tokens with their probabilities.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from elman.evaluation.surprisal import most_probable
from elman.generation import Sampler
from elman.models.base import LogProbs
from elman.serving.prompts import Prompt, Writer


@dataclass
class Chooser:
    """Draws tokens with its own generator of random numbers.

    ``bias`` is added to the ln P of its ids. Of a token that this completion has c times already (the prompt does
    not count), ``presence`` + c·``frequency`` is taken away.
    """

    sampler: Sampler
    rng: np.random.Generator
    bias: Mapping[int, float] = field(default_factory=dict)
    presence: float = 0.0
    frequency: float = 0.0
    counts: Counter[int] = field(default_factory=Counter)

    def choose(self, log_probs: LogProbs) -> int:
        """Return an id, given ln P (V,)."""
        found = self.sampler.draw(self._adjusted(log_probs), self.rng)
        self.counts[found] += 1
        return found

    def _adjusted(self, log_probs: LogProbs) -> LogProbs:
        penalised = bool((self.presence or self.frequency) and self.counts)
        if not (self.bias or penalised):
            return log_probs
        scores = log_probs.astype(np.float64)
        if self.bias:
            scores[list(self.bias)] += list(self.bias.values())
        if penalised:
            counts = np.array(list(self.counts.values()))
            scores[list(self.counts)] -= self.presence + self.frequency * counts
        return scores


class Stops:
    """Hands on a text up to the first stop string, and holds back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Return what is certain of the text by now; ``stopped`` tells that a stop string came."""
        whole = self._held + text
        places = [(place, stop) for stop in self._stops if (place := whole.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return whole[: min(places)[0]]
        held = max((_overlap(whole, stop) for stop in self._stops), default=0)
        self._held = whole[len(whole) - held :]
        return whole[: len(whole) - held]

    def finish(self) -> str:
        """Return what is held back, since no more text comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of a text that a stop string begins with."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)


IMPOSSIBLE = -9999.0  # for ln 0, which JSON cannot hold
Finish = Literal["stop", "length"]


@dataclass(frozen=True)
class Token:
    """A token: its name, ln P, the most probable ones in its place with theirs, and where it begins in the text.

    Where nothing predicts it there is no ln P; where no others are asked for there are none.
    """

    name: str
    logprob: float | None
    top: dict[str, float] | None
    offset: int


@dataclass(frozen=True)
class Piece:
    """What is added to a choice: text, the tokens that begin in it, and at the end why it ends."""

    index: int
    text: str
    tokens: Sequence[Token] = ()
    finish: Finish | None = None


def told(log_probs: LogProbs, id_: int, writer: Writer, offset: int, top: int) -> Token:
    """Return the token that ``writer`` is to write next, among the ``top`` most probable ones and itself."""
    name, logprob = writer.name(id_), _finite(log_probs[id_])
    if not top:
        return Token(name, logprob, None, offset)
    others: dict[str, float] = {}
    for other in [*most_probable(log_probs, top).tolist(), id_]:
        others.setdefault(writer.name(other), _finite(log_probs[other]))
    return Token(name, logprob, others, offset)


def _finite(logprob: Any) -> float:
    return max(float(logprob), IMPOSSIBLE)


def as_logprobs(tokens: Sequence[Token]) -> dict[str, Any]:
    """Return tokens as the ``logprobs`` of a choice."""
    return {
        "tokens": [token.name for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [token.top for token in tokens],
        "text_offset": [token.offset for token in tokens],
    }


class Echo:
    """The tokens of a prompt, with their probabilities where ``top`` is given; nothing predicts the first."""

    def __init__(self, prompt: Prompt, top: int | None) -> None:
        self.text = prompt.text
        self.tokens: list[Token] = []
        self._top, self._writer = top, Writer(prompt.text_model)
        self._places = iter(prompt.offsets if top is not None else [])
        self._unscored = iter(prompt.ids[1:] if top is not None else [])
        if top is not None and prompt.ids:
            self.tokens.append(Token(self._writer.push(prompt.ids[0])[0], None, None, next(self._places)))
        self.next_id = next(self._unscored, None)

    def score(self, log_probs: LogProbs | None) -> int:
        """Take note of the probability of ``next_id``, and return it."""
        id_ = self.next_id
        assert id_ is not None
        assert log_probs is not None
        self.tokens.append(told(log_probs, id_, self._writer, next(self._places), self._top or 0))
        self._writer.push(id_)
        self.next_id = next(self._unscored, None)
        return id_


class Continuation:
    """One choice, ``index``; ``emit`` is called with each `Piece` of it.

    ``top`` is how many of the most probable tokens to tell of, besides the drawn one; None: of none at all. Where
    it is given with ``echo``, of the prompt only `Prompt.unscored` is read before.
    """

    def __init__(
        self,
        index: int,
        prompt: Prompt,
        chooser: Chooser,
        max_tokens: int,
        emit: Callable[[Piece], None],
        stops: Sequence[str] = (),
        top: int | None = None,
        echo: bool = False,
    ) -> None:
        self.index, self.drawn, self.logprob = index, 0, 0.0
        self._chooser, self._most, self._emit, self._top = chooser, max_tokens, emit, top
        self._echo = Echo(prompt, top) if echo else None
        self._writer, self._stops = prompt.writer(), Stops(stops)
        self._made = self._given = len(prompt.text) if echo else 0  # characters of the choice's text
        self._tokens: list[Token] = []  # told of, but not yet handed on

    @property
    def needs_distribution(self) -> bool:
        """Whether the next token is to be scored or drawn."""
        scoring = self._echo is not None and self._echo.next_id is not None
        return scoring or self.drawn < self._most

    @property
    def mean_logprob(self) -> float:
        """The mean of ln P of the drawn tokens."""
        return self.logprob / max(1, self.drawn)

    def next(self, log_probs: LogProbs | None) -> int | None:
        """Return the id to be read next; None at the end."""
        if self._echo is not None:
            if self._echo.next_id is not None:
                return self._echo.score(log_probs)
            self._emit(Piece(self.index, self._echo.text, self._echo.tokens))
            self._echo = None
        id_ = None
        if self.drawn < self._most:
            assert log_probs is not None
            id_ = self._chooser.choose(log_probs)
            self._write(id_, log_probs)
        if not (self._stops.stopped or self.drawn == self._most):
            return id_
        self._finish("stop" if self._stops.stopped else "length")
        return None

    def _write(self, id_: int, log_probs: LogProbs) -> None:
        self.drawn += 1
        self.logprob += float(log_probs[id_])
        if self._top is not None:
            self._tokens.append(told(log_probs, id_, self._writer, self._made, self._top))
        _, text = self._writer.push(id_)
        self._made += len(text)
        if certain := self._stops.push(text):
            self._given += len(certain)
            before = [token for token in self._tokens if token.offset < self._given]
            self._tokens = self._tokens[len(before) :]
            self._emit(Piece(self.index, certain, before))

    def _finish(self, why: Finish) -> None:
        """Hand on what is left, tokens that a stop string cut away aside."""
        rest = "" if why == "stop" else self._stops.push(self._writer.finish()) + self._stops.finish()
        self._emit(Piece(self.index, rest, [] if why == "stop" else self._tokens, why))
