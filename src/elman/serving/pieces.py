"""What a completion is made of: pieces of text, and tokens with their probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from elman.models.base import LogProbs
from elman.serving.prompts import Writer
from elman.serving.ranks import most_probable

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
