"""A completion as an engine makes it: the tokens of an echoed prompt are scored, then others are drawn."""

from collections.abc import Callable, Sequence

from elman.models.base import LogProbs
from elman.serving.choosing import Chooser
from elman.serving.pieces import Finish, Piece, Token, told
from elman.serving.prompts import Prompt, Writer
from elman.serving.stops import Stops


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
